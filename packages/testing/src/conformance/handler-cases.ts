/** @module */
import type { ConformanceCase } from "./case.ts";

/** Cases. */
export const handlerCases: readonly ConformanceCase[] = [];
