/** @module */
import type { ConformanceCase } from "../case.ts";

/** Attacks. */
export const deflateAttacks: readonly ConformanceCase[] = [];
