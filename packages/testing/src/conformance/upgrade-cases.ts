/** @module */
import type { ConformanceCase } from "./case.ts";

/** Cases. */
export const upgradeCases: readonly ConformanceCase[] = [];
