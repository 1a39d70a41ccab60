/** @module */
import type { ConformanceCase } from "../case.ts";

/** Attacks. */
export const originAttacks: readonly ConformanceCase[] = [];
