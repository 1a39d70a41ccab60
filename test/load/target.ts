/**
 * A server in a process of its own, and a client that writes whatever bytes it is given.
 *
 * @module
 */
import { once } from "node:events";
import { get } from "node:http";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { expect } from "vitest";
import { allRuntimes, run, type Child, type Runtime } from "../../tools/runtimes.ts";

/** The runtimes that this machine has. */
export const presentRuntimes: readonly Runtime[] = allRuntimes().filter(({ command }) => command !== undefined);

/** How many connections may not be collected in the end: a stack happens to point to some. */
export const keptAtMost = 64;

/** What waits for a line. */
type Listener = (line: string) => void;

/** A server in a process of its own, which ends with the block that declares it by `await using`. */
export class Target {
  readonly port: number;
  /** How many connections the server takes at once. */
  readonly #room: number;
  /** Waits for a request to come to a place in the server, by its key. */
  readonly #arrivals = new Map<string, () => void>();
  #onAnswer: Listener = () => undefined;
  readonly #process: Child["process"];
  readonly #ended: Child["ended"];

  private constructor({ process, ended }: Child, port: number, room: number, lines: Interface) {
    this.#process = process;
    this.port = port;
    this.#room = room;
    this.#ended = ended;
    lines.on("line", (line) => {
      const { arrived } = JSON.parse(line) as { arrived?: string };
      if (arrived === undefined) this.#onAnswer(line);
      else this.#arrivals.get(arrived)?.();
    });
  }

  /** Starts a file of `test/fixtures`. */
  static async start(runtime: Runtime, file: string, env: Readonly<Record<string, string>> = {}): Promise<Target> {
    const child = run(runtime, join(import.meta.dirname, "../fixtures", file), env);
    const lines = createInterface(child.process.stdout);
    const [line] = (await once(lines, "line")) as [string];
    const { port } = JSON.parse(line) as { port: number };
    return new Target(child, port, Number(env["ROOM"]), lines);
  }

  /** Asks for a path of the server, and gives what it says on its stdout then. */
  ask<Answer>(path: string): Promise<Answer> {
    // A connection of its own, which the server does not keep.
    get({ port: this.port, host: "127.0.0.1", path, agent: false }, (response) => response.resume()).on(
      "error",
      () => undefined,
    );
    return this.answer();
  }

  /** Waits for what the server says next on its stdout. */
  async answer<Answer>(): Promise<Answer> {
    const answer = new Promise<string>((resolve) => (this.#onAnswer = resolve));
    const ended = this.#ended.then((how) => {
      throw new Error(`The server has ended: ${String(how)}`);
    });
    return JSON.parse(await Promise.race([answer, ended])) as Answer;
  }

  /** Sends a request on a socket, and waits until the server has come to the place that tells so, or has answered. */
  async arrival(socket: Socket, path: string, key: string): Promise<void> {
    const arrived = new Promise<void>((resolve) => {
      this.#arrivals.set(key, resolve);
      socket.once("data", () => resolve()).once("close", () => resolve());
    });
    socket.write(handshake(`${path}?key=${key}`));
    await arrived;
    this.#arrivals.delete(key);
  }

  /** Checks that who comes now is served, and that as many are let in as the server has room for. */
  async expectAlive(): Promise<void> {
    const client = new WebSocket(`ws://127.0.0.1:${String(this.port)}/echo`);
    await new Promise((resolve) => (client.onopen = resolve));
    client.send("still there?");
    const { data } = await new Promise<MessageEvent>((resolve) => (client.onmessage = resolve));
    expect(data).toBe("still there?");
    client.close();
    await new Promise((resolve) => (client.onclose = resolve));

    const sockets: Socket[] = [];
    const answers: Record<string, number> = {};
    await times(this.#room, async () => {
      const socket = this.connect();
      sockets.push(socket);
      socket.write(handshake("/echo"));
      const [answer] = (await once(socket, "data")) as [Buffer];
      const status = answer.toString("latin1", 9, 12);
      answers[status] = (answers[status] ?? 0) + 1;
    });
    for (const socket of sockets) socket.destroy();
    expect(answers).toEqual({ 101: this.#room });
  }

  /** Resolves once the process has ended by itself, with the exit code or the signal's name. */
  get ended(): Promise<number | string> {
    return this.#ended;
  }

  /** Stops the process where it is until {@link Target.resume}; its kernel goes on taking what is sent to it. */
  stop(): void {
    this.#process.kill("SIGSTOP");
  }

  /** Lets the process go on. */
  resume(): void {
    this.#process.kill("SIGCONT");
  }

  /** Ends the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#ended;
  }

  /** Opens a TCP connection. */
  connect(): Socket {
    const socket = connect({ port: this.port, host: "127.0.0.1" });
    socket.on("error", () => undefined);
    return socket;
  }
}

/** The text of a handshake that is in order. */
export function handshake(path: string, headers = ""): string {
  return (
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${headers}` +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
  );
}

/** Does something so many times, a few at once. */
export async function times(count: number, act: (index: number) => Promise<unknown>): Promise<void> {
  let index = 0;
  const worker = async (): Promise<void> => {
    while (index < count) await act(index++);
  };
  await Promise.all(Array.from({ length: 50 }, worker));
}
