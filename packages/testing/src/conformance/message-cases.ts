/** @module */
import type { ConformanceCase } from "./case.ts";

/** Cases. */
export const messageCases: readonly ConformanceCase[] = [];
