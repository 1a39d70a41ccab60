/**
 * What attacks on the bytes of a connection have in common.
 *
 * @module
 */
import assert from "node:assert/strict";
import process from "node:process";
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

/**
 * Checks that the bytes of an attack ended the connection, that the end was no clean one, and that they reached neither
 * a handler nor a pong; `messages` came before them.
 */
export function assertRefused({ connection, ending, info }: Aftermath, messages: number = 0): void {
  assert.equal(info.wasClean, false, "the server says that the end was clean");
  assert.notEqual(ending.code, 1000, "the close behind the attack was answered");
  assert.deepEqual(ending.pongs, []);
  assert.equal(connection.messagesReceived, messages);
}

/** What the server says of a connection that it ended for what the client did (RFC 6455, section 7.1.7). */
export function failure(code: number): CloseInfo {
  return { code, reason: "", wasClean: false, by: "local" };
}

/** Bytes that are violations alike; each is written to a connection of its own. */
export type Violation = readonly [what: string, ...attacks: Uint8Array[]];

/**
 * Makes the cases that hold for violations: one for each, that it ends the connection and reaches nobody, and two for
 * all together, that either side is told why, by the close code.
 *
 * @param all What they are together, in the plural.
 */
export function refusals(
  group: string,
  all: string,
  code: number,
  violations: readonly Violation[],
): readonly ConformanceCase[] {
  const check = async (trial: Trial, told: (aftermath: Aftermath) => unknown, expected: unknown): Promise<void> => {
    const target = await trial.serve();
    for (const [what, ...attacks] of violations) {
      for (const bytes of attacks) assert.deepEqual(told(await strike(target, "/echo", bytes)), expected, what);
    }
  };
  return [
    ...violations.map(([what, ...attacks]) =>
      attack(`${group}: ${what}: ends the connection, and reaches nobody`, async (trial) => {
        const target = await trial.serve();
        for (const bytes of attacks) assertRefused(await strike(target, "/echo", bytes));
      }),
    ),
    attack(`${group}: 7.1.7: any of these ${all}: the client is told ${String(code)}`, (trial) =>
      check(trial, ({ ending }) => ending.code, code),
    ),
    attack(`${group}: 7.1.7: any of these ${all}: the server's closeInfo says ${String(code)}, and by whom`, (trial) =>
      check(trial, ({ info }) => info, failure(code)),
    ),
  ];
}

/** How many bytes the process holds in buffers. Runtimes that keep a socket's outside of JavaScript tell of fewer. */
export function heldBytes(): number {
  return process.memoryUsage().arrayBuffers;
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
