/** @module */
import type { ConformanceCase } from "./case.ts";

/** Cases. */
export const closeCases: readonly ConformanceCase[] = [];
