/** What the tests share: a server whose connections are at hand, and gates for slow hooks. */
import { createVel, type Connection, type MaybePromise, type Vel, type VelOptions } from "@vel/core";
import { Room, type Join, type Leave, type RoomErrorCode, type RoomUser } from "@vel/rooms";
import { connect, type TestClient } from "@vel/testing";
import { expect } from "vitest";

/** Both ends of one connection. */
export interface Peer {
  readonly client: TestClient;
  readonly connection: Connection;
}

/** A server with one route that does nothing, to take connections from. */
export function peers(options: VelOptions = {}): { vel: Vel; peer: () => Promise<Peer>; errors: unknown[] } {
  const errors: unknown[] = [];
  const vel = createVel({ onError: (error) => errors.push(error), ...options });
  let opened: Connection | undefined;
  vel.websocket("/peer", { open: (connection) => void (opened = connection) });
  const peer = async (): Promise<Peer> => {
    opened = undefined;
    const client = await connect(vel, "/peer");
    if (!opened) throw new Error("The route was not opened");
    return { client, connection: opened };
  };
  return { vel, peer, errors };
}

/** A promise that the test settles. */
export interface Gate {
  readonly promise: Promise<void>;
  open(): void;
  fail(error: unknown): void;
}

export function gate(): Gate {
  let open: () => void = () => undefined;
  let fail: (error: unknown) => void = () => undefined;
  const promise = new Promise<void>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { promise, open, fail };
}

/** Takes everything that has arrived, parsed. */
export function take(client: TestClient): unknown[] {
  const received: unknown[] = [];
  for (const payload of (client.received as unknown[]).splice(0)) received.push(JSON.parse(payload as string));
  return received;
}

/** A room that writes down what its hooks are told. */
export class LogRoom extends Room {
  readonly log: string[] = [];
  override onJoin(user: RoomUser, { first }: Join): MaybePromise<void> {
    this.log.push(`join ${user.id}${first ? " first" : ""} ${String(this.userCount)}/${String(this.connectionCount)}`);
  }
  override onMessage(user: RoomUser, message: unknown): void {
    this.log.push(`message ${user.id} ${JSON.stringify(message)}`);
  }
  override onLeave(user: RoomUser, { last, reason }: Leave): void {
    this.log.push(
      `leave ${user.id}${last ? " last" : ""} ${reason} ${String(this.userCount)}/${String(this.connectionCount)}`,
    );
  }
}

/** What matches an error of this code, with this `retryAfter` if it is given. */
export function refused(code: RoomErrorCode, retryAfter?: number): Error {
  return expect.objectContaining({ code, ...(retryAfter !== undefined && { retryAfter }) }) as Error;
}

/** Calls, and says with which code that failed; undefined when it did not. */
export function codeOf(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

/** A connection that counts who listens to its renewals. */
export function counted(
  connection: Connection,
  registers: "onClosing" | "onRenew" = "onRenew",
): { connection: Connection; listeners: () => number } {
  let listeners = 0;
  const proxy = new Proxy(connection, {
    get(target, key) {
      if (key === registers) {
        return (listener: () => void) => {
          listeners++;
          const off = target[registers](listener);
          return () => {
            listeners--;
            off();
          };
        };
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
  return { connection: proxy, listeners: () => listeners };
}
