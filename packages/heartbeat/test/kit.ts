/** What the tests of the heartbeat share: servers with peers whose every answer the test decides on, and clocks. */
import { createVel, type Capabilities, type CloseInfo, type Connection, type Vel, type VelOptions } from "@vel/core";
import { connect, ManualClock, memoryTransport, settle, type TestClient } from "@vel/testing";
import { expect } from "vitest";
import { HeartbeatManager, type Heartbeat, type HeartbeatOptions } from "../src/index.ts";

/** One connection: its two ends, and what it was asked. */
export interface Peer {
  readonly client: TestClient;
  readonly connection: Connection;
  /** The data of the pings that were sent to it. */
  readonly pings: readonly Uint8Array[];
  /** How it ended; undefined until it has. */
  readonly info: CloseInfo | undefined;
}

/** What {@link setup} makes. */
export interface World {
  readonly clock: ManualClock;
  readonly vel: Vel;
  readonly manager: HeartbeatManager;
  /** What was reported: the stage and the error. */
  readonly errors: string[];
  /** The manager's events, in order: `ping`, `miss 1`. */
  readonly events: string[];
  readonly capabilities: Partial<Capabilities>;
}

/** A manager and a server, not observed yet, whose time the test moves. */
export function setup(
  heartbeat: Heartbeat | HeartbeatOptions = {},
  { capabilities = {}, ...options }: VelOptions & { capabilities?: Partial<Capabilities> } = {},
): World {
  const clock = new ManualClock();
  const errors: string[] = [];
  const onError: VelOptions["onError"] = (error, { stage }) => errors.push(`${stage}: ${String(error)}`);
  const vel = createVel({ clock, onError, ...options });
  vel.websocket("/ws", {});
  const manager = new HeartbeatManager(heartbeat, { clock, onError });
  const events: string[] = [];
  manager.on("ping", () => events.push("ping"));
  manager.on("pong", () => events.push("pong"));
  manager.on("miss", (_, failures) => events.push(`miss ${String(failures)}`));
  manager.on("recover", () => events.push("recover"));
  manager.on("dead", (_, failures) => events.push(`dead ${String(failures)}`));
  return { clock, vel, manager, errors, events, capabilities };
}

/** Connects a peer that answers pings, until it is silenced. */
export async function join({ vel, capabilities }: Pick<World, "vel" | "capabilities">, path = "/ws"): Promise<Peer> {
  const pings: Uint8Array[] = [];
  const base = memoryTransport({ capabilities });
  const transport: typeof base = {
    ...base,
    ...(base.ping && {
      ping(socket, data) {
        pings.push(data ?? new Uint8Array());
        base.ping?.(socket, data);
      },
    }),
  };
  let connection: Connection | undefined;
  const off = vel.on("open", (opened) => (connection = opened));
  const client = await connect(vel, path, { transport });
  off();
  if (!connection) throw new Error("The connection did not open");
  const opened = connection;
  return {
    client,
    connection: opened,
    pings,
    get info() {
      return opened.closeInfo;
    },
  };
}

/** A peer that reads and never says anything by itself. */
export async function joinSilently(world: Pick<World, "vel" | "capabilities">): Promise<Peer> {
  const peer = await join(world);
  peer.client.silence();
  return peer;
}

/** Ends everything, and sees that nothing is left. */
export async function expectNothingLeft({ clock, vel, manager }: World): Promise<void> {
  manager.close();
  const closing = vel.close();
  await clock.advance(20_000); // for the peers that do not answer
  await closing;
  await settle();
  expect(manager.size).toBe(0);
  expect(vel.connections.size).toBe(0);
  expect(clock.pending).toBe(0);
}
