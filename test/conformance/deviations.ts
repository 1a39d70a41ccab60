/**
 * What does not hold on a runtime, and why: each reason is a row of docs/runtimes.md.
 *
 * @module
 */
import type { Deviation } from "@vel/testing";

/** Bun with its own adapter. */
export const onBun: readonly Deviation[] = [];

/** Deno with its own adapter. */
export const onDeno: readonly Deviation[] = [];
