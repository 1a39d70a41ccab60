/** What the tests share: a chat without sockets, people in it, and time that stands still. */
import { createChat, type Chat, type ChatOptions } from "@vel/app-chat";
import { connect, ManualClock, settle, type TestClient } from "@vel/testing";
import { expect, onTestFinished } from "vitest";

/** A frame as it stands on the wire. */
type Frame = Record<string, unknown> & { type: string };

/** For who says more in no time than anybody may. */
export const unhurried = { messages: 10_000, per: 1_000, burst: 10_000 };

/** A chat whose time the test moves. */
export interface Setup {
  readonly chat: Chat;
  readonly clock: ManualClock;
  /** Asks the HTTP side; a body is sent as JSON. */
  ask(
    method: string,
    path: string,
    options?: { token?: string; body?: unknown; headers?: Record<string, string> },
  ): Promise<Response>;
  /** Signs somebody in. */
  signIn(name: string): Promise<{ token: string; user_id: string; name: string; expires_in: number }>;
  /** Signs somebody in who enters a room, and takes the first frame. */
  visit(name: string, room?: string): Promise<Visitor>;
  /** Enters a room with a token. */
  enter(token: string, room?: string, query?: string): Promise<Visitor>;
}

/** Somebody in a room. */
interface Visitor {
  readonly client: TestClient;
  readonly token: string;
  /** The first frame. */
  readonly info: Frame;
  say(frame: unknown): void;
  /** All frames that have come by now. */
  heard(): Promise<Frame[]>;
}

export function setUp(options: Partial<ChatOptions> = {}): Setup {
  const clock = new ManualClock();
  const chat = createChat({ page: { "index.html": "<!doctype html>" }, clock, ...options });
  onTestFinished(async () => {
    const closing = chat.vel.close();
    await clock.advance(10_000); // for those who do not answer
    await closing;
    expect([chat.vel.connections.size, clock.pending], "connections and timers that are left").toEqual([0, 0]);
  });
  const ask: Setup["ask"] = async (method, path, { token, body, headers } = {}) =>
    chat.fetch(
      new Request(`http://chat.test${path}`, {
        method,
        headers: {
          ...(body !== undefined && { "content-type": "application/json" }),
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
      }),
    );
  const signIn: Setup["signIn"] = async (name) => {
    const response = await ask("POST", "/chat/sign-in", { body: { name } });
    if (response.status !== 200) throw new Error(`Not signed in: ${String(response.status)}`);
    return (await response.json()) as Awaited<ReturnType<Setup["signIn"]>>;
  };
  const enter: Setup["enter"] = async (token, room = "lobby", query = "") => {
    const protocols = ["bearer", token];
    const client = await connect(chat.vel, `/ws/chat/${encodeURIComponent(room)}${query}`, { protocols });
    const info = await client.receiveJson<Frame>();
    return {
      client,
      token,
      info,
      say(frame) {
        client.send(typeof frame === "string" ? frame : JSON.stringify(frame));
      },
      async heard() {
        await settle();
        const frames: Frame[] = [];
        while (client.received.length > 0) frames.push(await client.receiveJson<Frame>());
        return frames;
      },
    };
  };
  const visit: Setup["visit"] = async (name, room) => enter((await signIn(name)).token, room);
  return { chat, clock, ask, signIn, visit, enter };
}
