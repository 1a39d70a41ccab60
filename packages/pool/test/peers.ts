/** What the tests of the pool share: a server whose connections are at hand. */
import { createVel, type Connection, type Unsubscribe, type Vel, type VelOptions } from "@vel/core";
import type { ConnectionPool } from "@vel/pool";
import { connect, type TestClient } from "@vel/testing";

/** Both ends of one connection. */
export interface Peer {
  readonly client: TestClient;
  readonly connection: Connection;
}

/** A server with one route that does nothing, to take connections from. */
export function peers(options: VelOptions = {}): {
  vel: Vel;
  peer: () => Promise<Peer>;
  some: (count: number) => Promise<Peer[]>;
  errors: unknown[];
} {
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
  const some = async (count: number): Promise<Peer[]> => {
    const all: Peer[] = [];
    while (all.length < count) all.push(await peer());
    return all;
  };
  return { vel, peer, some, errors };
}

/** The same connection, that counts who listens for its closing. */
export function counted(connection: Connection): { connection: Connection; listeners: () => number } {
  let count = 0;
  const onClosing = (listener: () => void): Unsubscribe => {
    count++;
    const off = connection.onClosing(listener);
    return () => {
      count--;
      off();
    };
  };
  const proxy = new Proxy(connection, {
    get(target, name) {
      if (name === "onClosing") return onClosing;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
  return { connection: proxy, listeners: () => count };
}

/** What a pool measures, as `name{reason}: value`. */
export function measured(pool: ConnectionPool): Record<string, number> {
  const entries = [...pool.measure()].map(({ name, labels, value }) => {
    const reason = labels?.["reason"];
    return [reason === undefined ? name : `${name}{${reason}}`, Number(value)] as const;
  });
  return Object.fromEntries(entries);
}

/** What has happened, as `evict <number of the peer> <reason>`. */
export function log(pool: ConnectionPool, all: readonly Peer[]): string[] {
  const lines: string[] = [];
  const numberOf = (connection: Connection): string => String(all.findIndex((each) => each.connection === connection));
  pool.on("evict", (connection, reason) => lines.push(`evict ${numberOf(connection)} ${reason}`));
  pool.on("refuse", (connection, reason) => lines.push(`refuse ${numberOf(connection)} ${reason}`));
  return lines;
}
