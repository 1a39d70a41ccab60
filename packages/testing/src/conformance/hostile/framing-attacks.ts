/** @module */
import type { ConformanceCase } from "../case.ts";

/** Attacks. */
export const framingAttacks: readonly ConformanceCase[] = [];
