/**
 * What is expected of each adapter on each runtime, said literally: the conformance suite asserts it.
 *
 * @module
 */
import type { Capabilities } from "@vel/core";
import type { Deviation } from "@vel/testing";
import { onBun, onDeno, onNodeAdapterOnBun } from "./deviations.ts";

/** One column of the table. */
export interface Column {
  readonly capabilities: Capabilities;
  readonly deviations: readonly Deviation[];
}

const full: Capabilities = {
  ping: true,
  terminate: true,
  compression: true,
  pause: true,
  idleTimeout: false,
  buffered: true,
  maxPayload: undefined,
};

/** By the names of `tools/runtimes.ts`; "Memory" is the transport of `connect()`. */
export const columns: Readonly<Record<string, Column>> = {
  Memory: { capabilities: { ...full, compression: false }, deviations: [] },
  "System's Node": { capabilities: full, deviations: [] },
  "Node 24": { capabilities: full, deviations: [] },
  Node: { capabilities: full, deviations: [] },
  Bun: { capabilities: full, deviations: onBun },
  Deno: {
    capabilities: {
      ping: false,
      terminate: false,
      compression: false,
      pause: false,
      idleTimeout: true,
      buffered: true,
      maxPayload: 67_108_864,
    },
    deviations: onDeno,
  },
  "Node adapter on Deno": { capabilities: { ...full, compression: false }, deviations: [] },
  "Node adapter on Bun": { capabilities: full, deviations: onNodeAdapterOnBun },
};
