/** @module */
import type { ConformanceCase } from "../case.ts";

/** Attacks. */
export const closeAttacks: readonly ConformanceCase[] = [];
