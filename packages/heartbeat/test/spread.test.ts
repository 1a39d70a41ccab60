/** Many at once: how the pings are spread, and that nobody is found late for it. */
import { createVel, type Connection, type Host, type Transport } from "@vel/core";
import { ManualClock, memoryTransport } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { HeartbeatManager, type HeartbeatOptions } from "../src/index.ts";

/** A peer of which only the pings matter. */
interface Socket {
  answers: boolean;
}

/** Thousands of peers without wires, all of them connected at once. */
async function crowd(
  size: number,
  options: HeartbeatOptions = {},
): Promise<{
  clock: ManualClock;
  manager: HeartbeatManager;
  sockets: Socket[];
  /** How many pings were sent in each turn in which there were any, and when that was. */
  turns: Map<number, number>;
  /** When connections were cut. */
  deaths: number[];
  add: (count: number) => Promise<void>;
  leave: (socket: Socket) => void;
  /** Ends everything, and sees that nothing is left. */
  end: () => void;
}> {
  const clock = new ManualClock();
  const vel = createVel({ clock, maxConnections: 10_000 });
  vel.websocket("/ws", {});
  const manager = new HeartbeatManager(options, { clock });
  manager.observe(vel);
  const turns = new Map<number, number>();
  const connections = new Map<Socket, Connection>();
  const transport: Transport<Socket> = {
    name: "crowd",
    capabilities: memoryTransport({ capabilities: { pause: false, buffered: false } }).capabilities,
    send: () => "sent",
    close: () => undefined,
    terminate: () => undefined,
    ping(socket, data) {
      turns.set(clock.now(), (turns.get(clock.now()) ?? 0) + 1);
      if (socket.answers) queueMicrotask(() => host.pong(connections.get(socket)!, data!));
    },
  };
  const host: Host<Socket> = vel.bind(transport);
  const deaths: number[] = [];
  manager.on("dead", () => deaths.push(clock.now()));
  const headers = new Headers({ host: "localhost" });
  const { signal } = new AbortController();
  const sockets: Socket[] = [];
  const add = async (count: number): Promise<void> => {
    const handshake = { url: "/ws", headers, remote: undefined, signal, raw: undefined };
    for (let opened = 0; opened < count; opened++) {
      const each = await host.upgrade(handshake);
      if (!each.accept) throw new Error(`Refused with ${String(each.status)}`);
      const socket = { answers: true };
      sockets.push(socket);
      connections.set(socket, host.open(socket, each));
    }
  };
  const leave = (socket: Socket): void => {
    host.close(connections.get(socket)!, 1000, "", true);
    connections.delete(socket);
  };
  await add(size);
  return {
    clock,
    manager,
    sockets,
    turns,
    deaths,
    add,
    leave,
    end() {
      for (const socket of [...connections.keys()]) leave(socket);
      expect(manager.size).toBe(0);
      expect(clock.pending).toBe(0);
    },
  };
}

describe("Pings", () => {
  it.each<[number, HeartbeatOptions]>([
    [10_000, {}],
    [1_000, { pingInterval: 20_000, pongTimeout: 5_000 }],
    [100, {}],
  ])(
    "to %i connections that came in one turn are spread: one in a hundred in a turn, each once an interval",
    async (size, options) => {
      const { clock, manager, turns, end } = await crowd(size, options);
      const { pingInterval } = manager.heartbeat;
      await clock.advance(pingInterval / 200); // so that no group comes just when an interval ends
      for (let interval = 0; interval < 3; interval++) {
        turns.clear();
        await clock.advance(pingInterval);
        const counts = [...turns.values()];
        expect(counts.reduce((sum, count) => sum + count)).toBe(size);
        expect(Math.max(...counts)).toBeLessThanOrEqual(size / 100);
      }
      end();
    },
  );

  it("stay spread when connections go, and fill the gaps when others come", async () => {
    const { clock, manager, sockets, turns, add, leave, end } = await crowd(2_000);
    // All that are asked in the first half of each interval go, others come at once.
    await clock.advance(15_000);
    for (const socket of sockets.filter((_, index) => index % 1_000 >= 500)) leave(socket);
    await add(1_000);
    await clock.advance(150); // so that no group comes just when the interval ends
    turns.clear();
    await clock.advance(30_000);
    expect(manager.size).toBe(2_000);
    expect([...turns.values()].reduce((sum, count) => sum + count)).toBe(2_000);
    expect(Math.max(...turns.values())).toBeLessThanOrEqual(20);
    end();
  });
});

describe("An outage", () => {
  it.each<[number, HeartbeatOptions]>([
    [10_000, {}],
    [1_000, { pingInterval: 20_000, pongTimeout: 5_000 }],
    [300, { pingInterval: 40_000, pongTimeout: 40_000, maxFailures: 1 }],
    [5, { pingInterval: 20_000, pongTimeout: 1_000, maxFailures: 5 }],
  ])(
    "of all %i peers at once is found within patience and a hundredth of it, and the pings stay spread",
    async (size, options) => {
      const { clock, manager, sockets, turns, deaths, end } = await crowd(size, options);
      const { pingInterval, patience, pongTimeout, maxFailures } = manager.heartbeat;
      await clock.advance(pingInterval * 1.5);
      const diedAt = clock.now();
      for (const socket of sockets) socket.answers = false;
      turns.clear();
      await clock.advance(patience * 1.01);
      expect(manager.size).toBe(0);
      expect(deaths).toHaveLength(size);
      expect(Math.min(...deaths) - diedAt).toBeGreaterThanOrEqual(maxFailures * pongTimeout);
      expect(Math.max(...turns.values())).toBeLessThanOrEqual(Math.max(size / 100, maxFailures));
      const total = [...turns.values()].reduce((sum, count) => sum + count);
      expect(total).toBe(size * maxFailures);
      end();
    },
  );
});
