/** @module */
import type { ConformanceCase } from "../case.ts";

/** Attacks. */
export const payloadAttacks: readonly ConformanceCase[] = [];
