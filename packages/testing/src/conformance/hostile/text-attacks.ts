/** @module */
import type { ConformanceCase } from "../case.ts";

/** Attacks. */
export const textAttacks: readonly ConformanceCase[] = [];
