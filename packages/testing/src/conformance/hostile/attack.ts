/**
 * What attacks on the bytes of a connection have in common.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { CloseInfo, Connection } from "@vel/core";
import { closePayload, frame, opcodes } from "../bytes.ts";
import type { ConformanceCase, Traits } from "../case.ts";
import type { Ending } from "../raw-client.ts";
import type { Target, Trial } from "../trial.ts";

/** A proper close frame, without a code. */
export const end: Uint8Array = frame(opcodes.close);

/** Makes a case that takes sockets, and what else `needs` says. */
export function attack(
  name: string,
  run: (trial: Trial) => Promise<void>,
  needs: Partial<Traits> = {},
  otherwise: string = "memory: messages pass without bytes",
): ConformanceCase {
  return { name, needs: { sockets: true, ...needs }, otherwise, run };
}

/** What became of a connection. */
export interface Aftermath {
  readonly connection: Connection;
  /** What the client saw. */
  readonly ending: Ending;
  /** What the server says of it. */
  readonly info: CloseInfo;
}

/**
 * Writes bytes to a fresh connection, then a proper close with code 1000, and waits for the connection's end: a server
 * that lets the bytes pass answers the close, and does not wait for more.
 */
export async function strike(target: Target, path: string, ...bytes: readonly Uint8Array[]): Promise<Aftermath> {
  const { client, connection, info } = await target.rawPair(path);
  client.write(...bytes, frame(opcodes.close, closePayload(1000)));
  return { connection, ending: await client.ended, info: await info };
}

/**
 * Writes the beginning of a frame, then ends this side of the TCP connection: a server that would wait for the rest
 * learns that there is none.
 */
export async function strikeAndEnd(target: Target, path: string, ...bytes: readonly Uint8Array[]): Promise<Aftermath> {
  const { client, connection, info } = await target.rawPair(path, { allowHalfOpen: true });
  client.write(...bytes);
  client.socket.end();
  return { connection, ending: await client.ended, info: await info };
}

/** Checks that the server failed the connection with a code, and told the client so. */
export function assertFailed({ ending, info }: Aftermath, code: number): void {
  assert.deepEqual({ client: ending.code, server: info }, { client: code, server: { code, reason: "", wasClean: false, by: "local" } });
}

/** Lets the server take 50 more turns, each of which reads: a good client gets 50 answers. */
export async function progress(target: Target): Promise<void> {
  const client = await target.openRaw("/echo");
  for (let i = 0; i < 50; i++) {
    client.send("turn");
    await client.next();
  }
  client.close(1000);
  await client.closed;
}
