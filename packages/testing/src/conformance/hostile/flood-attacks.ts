/** @module */
import type { ConformanceCase } from "../case.ts";

/** Attacks. */
export const floodAttacks: readonly ConformanceCase[] = [];
