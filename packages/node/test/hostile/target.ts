/** A server to attack, and the bytes to attack it with. */
import { createVel, type CloseInfo, type Connection, type Vel, type VelOptions } from "@vel/core";
import { serve, type NodeServer } from "@vel/node";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { Client, handshake, openHandles, Wire } from "../kit.ts";

/** A running server, valid once the tests run. */
export interface Target {
  readonly vel: Vel;
  readonly server: NodeServer;
  readonly port: number;
  readonly url: string;
  /** What was told to `onError`. A test takes out what it expects. */
  readonly errors: unknown[];
}

const echo = { message: (connection: Connection, message: string | Uint8Array) => void connection.send(message) };

/**
 * Serves a Vel for the tests of a file, with a route `/echo` of its own. After each test a good client must be
 * served, and nothing may be left of the attack: no connection, no key on Object.prototype. At the end no handle may
 * be left, nor may anything have been thrown that nobody caught.
 */
export function serveTarget(options: VelOptions = {}, routes: (vel: Vel) => void = () => undefined): Target {
  const vel = createVel({ onError: (error) => errors.push(error), ...options });
  const errors: unknown[] = [];
  const uncaught: unknown[] = [];
  const onUncaught = (error: unknown): void => void uncaught.push(error);
  const prototype = Object.getOwnPropertyNames(Object.prototype);
  let server: NodeServer;
  vel.websocket("/echo", { ...echo });
  routes(vel);

  beforeAll(async () => {
    process.on("uncaughtException", onUncaught).on("unhandledRejection", onUncaught);
    server = await serve(vel, { hostname: "127.0.0.1" });
  });

  afterEach(async ({ task }) => {
    if (task.result?.state === "fail") {
      // What it left behind is no failure of the tests that follow.
      for (const connection of vel.connections) connection.terminate();
      errors.length = 0;
    }
    await isServed(server.port);
    await everyoneLeft(vel);
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(prototype);
    expect(errors.splice(0)).toEqual([]);
  });

  afterAll(async () => {
    await server.close();
    expect(vel.connections.size).toBe(0);
    expect(await openHandles()).toEqual([]);
    process.off("uncaughtException", onUncaught).off("unhandledRejection", onUncaught);
    expect(uncaught).toEqual([]);
  });

  return {
    vel,
    errors,
    get server() {
      return server;
    },
    get port() {
      return server.port;
    },
    get url() {
      return `ws://127.0.0.1:${String(server.port)}`;
    },
  };
}

/** A fresh good client gets its echo. */
async function isServed(port: number): Promise<void> {
  const client = await Client.open(`ws://127.0.0.1:${String(port)}/echo`);
  client.ws.send("alive");
  expect(await client.next()).toBe("alive");
  await client.close();
}

/** Waits until the last connection has ended. */
async function everyoneLeft(vel: Vel): Promise<void> {
  while (vel.connections.size > 0) {
    await new Promise<void>((resolve) => {
      const off = vel.on("close", () => {
        off();
        resolve();
      });
    });
  }
}

/** Opens a raw connection that has had its 101. */
export async function openWire(
  target: Target,
  path = "/echo",
  headers: Parameters<typeof handshake>[1] = {},
  options: Parameters<typeof Wire.open>[1] = {},
): Promise<Wire> {
  const wire = await Wire.open(target.port, options);
  wire.write(handshake(path, headers));
  const response = await wire.until("\r\n\r\n");
  expect(response).toMatch(/^HTTP\/1\.1 101 /);
  return wire;
}

/** A raw connection and the server's side of it. */
export interface Pair {
  readonly wire: Wire;
  readonly connection: Connection;
  /** How it ended for the server. */
  readonly ended: Promise<CloseInfo>;
}

/** Opens a raw connection, and gives the server's side of it too. */
export async function openPair(target: Target, ...how: Tail<Parameters<typeof openWire>>): Promise<Pair> {
  const opened = new Promise<Connection>((resolve) => {
    const off = target.vel.on("open", (connection) => {
      off();
      resolve(connection);
    });
  });
  const wire = await openWire(target, ...how);
  const connection = await opened;
  return { wire, connection, ended: new Promise((resolve) => connection.onClose(resolve)) };
}

type Tail<List extends unknown[]> = List extends [unknown, ...infer Rest] ? Rest : never;

/** What a frame's header may say. */
export interface Header {
  /** Default: true. */
  fin?: boolean;
  /** The three reserved bits, RSV1 being 4. Default: 0. */
  rsv?: number;
  opcode: number;
  /** Default: true. */
  masked?: boolean;
  length: number | bigint;
  /** How wide the length is written, in bits. Default: as few as it takes. */
  bits?: 7 | 16 | 64;
}

/** Builds a frame's header, the masking key (all zeros) included. */
function header({ fin = true, rsv = 0, opcode, masked = true, length, bits }: Header): Buffer {
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const mask = masked ? 0x80 : 0;
  const width = bits ?? (length < 126 ? 7 : length < 0x1_0000 ? 16 : 64);
  const start = Buffer.alloc(width === 7 ? 2 : width === 16 ? 4 : 10);
  start[0] = first;
  if (width === 7) start[1] = mask | Number(length);
  else if (width === 16) {
    start[1] = mask | 126;
    start.writeUInt16BE(Number(length), 2);
  } else {
    start[1] = mask | 127;
    start.writeBigUInt64BE(BigInt(length), 2);
  }
  return masked ? Buffer.concat([start, Buffer.alloc(4)]) : start;
}

/** Builds a whole frame. */
export function build(fields: Omit<Header, "length">, payload: string | Buffer = ""): Buffer {
  const data = typeof payload === "string" ? Buffer.from(payload) : payload;
  return Buffer.concat([header({ ...fields, length: data.byteLength }), data]);
}

/** A frame that the server sent. */
export interface ServerFrame {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  readonly payload: Buffer;
}

/** Takes apart what was received after the response's headers. Fails on what a server may not send. */
function framesOf(received: string): ServerFrame[] {
  const bytes = Buffer.from(received.slice(received.indexOf("\r\n\r\n") + 4), "latin1");
  const frames: ServerFrame[] = [];
  for (let at = 0; at < bytes.byteLength;) {
    const first = bytes.readUInt8(at);
    const second = bytes.readUInt8(at + 1);
    expect(second & 0x80, "a server does not mask").toBe(0);
    const wide = second === 126 ? 2 : second === 127 ? 8 : 0;
    const length =
      wide === 0 ? second : wide === 2 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
    const start = at + 2 + wide;
    expect(bytes.byteLength).toBeGreaterThanOrEqual(start + length);
    const payload = bytes.subarray(start, start + length);
    frames.push({ fin: (first & 0x80) !== 0, rsv: (first >> 4) & 7, opcode: first & 15, payload });
    at = start + length;
  }
  return frames;
}

/** What the server said before it ended the connection. */
export interface Ending {
  /** Text messages, in order. */
  readonly texts: string[];
  /** The payloads of pongs, in order. */
  readonly pongs: string[];
  /** The code of its close frame: 1005 when that held none, 1006 when there was no such frame. */
  readonly code: number;
  readonly frames: ServerFrame[];
}

/** Waits for the connection's end. The close frame must be the last one, and the only one. */
export async function ending(wire: Wire): Promise<Ending> {
  const frames = framesOf(await wire.ended);
  const closeAt = frames.findIndex(({ opcode }) => opcode === 8);
  const close = frames[closeAt];
  if (close) expect(closeAt).toBe(frames.length - 1);
  const of = (wanted: number): string[] =>
    frames.filter(({ opcode }) => opcode === wanted).map(({ payload }) => payload.toString());
  const code = close ? (close.payload.byteLength >= 2 ? close.payload.readUInt16BE(0) : 1005) : 1006;
  return { texts: of(1), pongs: of(10), code, frames };
}
