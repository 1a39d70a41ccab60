/** @module */
import type { ConformanceCase } from "../case.ts";

/** Attacks. */
export const jsonAttacks: readonly ConformanceCase[] = [];
