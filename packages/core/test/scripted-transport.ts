/**
 * The runtime's side of the seam, written out: a socket does what the test says, and nothing by itself.
 *
 * @module
 */
import { expect } from "vitest";
import type {
  Accepted,
  Capabilities,
  Connection,
  Handshake,
  Host,
  Payload,
  SendStatus,
  Transport,
  Vel,
} from "../src/index.ts";

/** A socket of no network: it records what it is told and answers what the test wants. */
export class ScriptedSocket {
  readonly sent: Payload[] = [];
  readonly compressed: boolean[] = [];
  readonly closes: { code: number; reason: string }[] = [];
  readonly pings: (Uint8Array | undefined)[] = [];
  terminations = 0;
  /** Bytes that wait to leave. */
  buffered = 0;
  /** What becomes of the next message. */
  status: SendStatus = "sent";
  /** Runs within the transport's call of that name: a runtime that calls back, or throws. */
  onSend: (() => void) | undefined;
  onClose: (() => void) | undefined;
  onTerminate: (() => void) | undefined;
}

const capabilities: Capabilities = {
  ping: true,
  terminate: true,
  compression: true,
  pause: false,
  idleTimeout: false,
  buffered: true,
  maxPayload: undefined,
};

/** Makes a transport over {@link ScriptedSocket} that has these capabilities only. */
export function scriptedTransport(wanted: Partial<Capabilities> = {}): Transport<ScriptedSocket> {
  const has = { ...capabilities, ...wanted };
  return {
    name: "scripted",
    capabilities: has,
    send(socket, payload, compress) {
      socket.onSend?.();
      socket.sent.push(payload);
      socket.compressed.push(compress);
      return socket.status;
    },
    close(socket, code, reason) {
      socket.closes.push({ code, reason });
      socket.onClose?.();
    },
    ...(has.terminate && {
      terminate(socket: ScriptedSocket) {
        socket.terminations++;
        socket.onTerminate?.();
      },
    }),
    ...(has.buffered && { buffered: (socket: ScriptedSocket) => socket.buffered }),
    ...(has.ping && {
      ping(socket: ScriptedSocket, data?: Uint8Array) {
        socket.pings.push(data);
      },
    }),
  };
}

/** What of a request matters to a test. */
export interface Asked {
  headers?: Record<string, string> | Headers;
  signal?: AbortSignal;
}

/** Makes a request as an adapter hands it in. */
export function handshake(url: string, { headers = {}, signal = new AbortController().signal }: Asked = {}): Handshake {
  return {
    url,
    headers: headers instanceof Headers ? headers : new Headers({ host: "example.com", ...headers }),
    remote: { address: "192.0.2.1", port: 4000 },
    signal,
    raw: undefined,
  };
}

/** One end of a connection that is open, seen by an adapter. */
export interface Opened {
  readonly host: Host<ScriptedSocket>;
  readonly socket: ScriptedSocket;
  readonly connection: Connection;
  readonly accepted: Accepted;
}

/** Asks a host and expects to be let in, without opening. */
export async function admit(host: Host<ScriptedSocket>, url: string, asked?: Asked): Promise<Accepted> {
  const answer = await host.upgrade(handshake(url, asked));
  expect(answer).toMatchObject({ accept: true });
  return answer as Accepted;
}

/** Opens a connection. */
export async function open(
  vel: Vel<never> | Vel,
  url: string,
  {
    transport = scriptedTransport(),
    socket = new ScriptedSocket(),
    ...asked
  }: Asked & {
    transport?: Transport<ScriptedSocket>;
    socket?: ScriptedSocket;
  } = {},
): Promise<Opened> {
  const host = (vel as Vel).bind(transport);
  const accepted = await admit(host, url, asked);
  return { host, socket, accepted, connection: host.open(socket, accepted) };
}

/** Waits until every promise that can settle by itself has, and unhandled rejections were announced. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
