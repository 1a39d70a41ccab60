/** @module */
import type { ConformanceCase } from "./case.ts";

/** Cases. */
export const pressureCases: readonly ConformanceCase[] = [];
