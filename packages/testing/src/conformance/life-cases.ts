/** @module */
import type { ConformanceCase } from "./case.ts";

/** Cases. */
export const lifeCases: readonly ConformanceCase[] = [];
