/** @module */
import type { ConformanceCase } from "../case.ts";

/** Attacks. */
export const handshakeAttacks: readonly ConformanceCase[] = [];
