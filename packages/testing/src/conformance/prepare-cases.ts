/**
 * That what comes before a handler comes before it on every runtime, and decides whether it starts.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import type { Admission, Connection, Vel } from "@vel/core";
import { frame, opcodes } from "./bytes.ts";
import type { ConformanceCase } from "./case.ts";

const texts: readonly string[] = Array.from({ length: 1_000 }, (_, i) => String(i));

/** Registers a route for each form of handlers behind a preparation; `got` is what the handlers were called with. */
function register(vel: Vel, prepare: NonNullable<Admission["prepare"]>, got: unknown[]): void {
  const scope = vel.with(() => ({ prepare }));
  scope.websocket("/hooks", {
    open: (connection) => void got.push(connection.data),
    message(connection, message) {
      got.push(message);
      if (message === texts.at(-1)) connection.send("all there");
    },
  });
  scope.websocket("/pull", async (request) => {
    const connection = await request.accept();
    got.push(connection.data);
    for await (const text of connection.texts()) {
      got.push(text);
      if (text === texts.at(-1)) connection.send("all there");
    }
  });
}

/** A preparation that waits until so many messages have come, and for the turns in which more could come. */
function waitingFor(messages: number, got: readonly unknown[]): (connection: Connection) => Promise<{ user: string }> {
  return async (connection) => {
    while (connection.messagesReceived < messages) await setImmediate();
    for (let turn = 0; turn < 5; turn++) await setImmediate();
    assert.deepEqual(got, [], "something reached the handler before");
    return { user: "ada" };
  };
}

/** Cases about `prepare`. */
export const prepareCases: readonly ConformanceCase[] = [
  {
    name: "prepare: 1,000 messages that come before it has settled wait for the handler",
    async run(trial) {
      for (const path of ["/hooks", "/pull"]) {
        const got: unknown[] = [];
        const target = await trial.serve((vel) => {
          register(vel, waitingFor(texts.length, got), got);
        });
        const client = await target.open(path);
        assert.equal(target.vel.connections.size, 0);
        for (const text of texts) client.send(text);
        assert.equal(await client.next(), "all there");
        assert.deepEqual(got, [{ user: "ada" }, ...texts], path);
      }
    },
  },
  {
    name: "prepare: 1,000 messages that come with the request wait for the handler",
    needs: { sockets: true },
    otherwise: "prepare: 1,000 messages that come before it has settled wait for the handler",
    async run(trial) {
      for (const path of ["/hooks", "/pull"]) {
        const got: unknown[] = [];
        const target = await trial.serve((vel) => {
          register(vel, waitingFor(texts.length, got), got);
        });
        const early = Buffer.concat(texts.map((text) => frame(opcodes.text, text)));
        const client = await target.openRaw(path, { early });
        assert.equal(await client.next(), "all there");
        assert.deepEqual(got, [{ user: "ada" }, ...texts], path);
      }
    },
  },
  {
    name: "prepare: takes the first message, and the handler gets the next",
    async run(trial) {
      const got: unknown[] = [];
      const target = await trial.serve((vel) => {
        const prepare = async (connection: Connection): Promise<{ token: string }> => {
          connection.send("token?");
          return { token: await connection.receiveText() };
        };
        register(vel, prepare, got);
      });
      for (const path of ["/hooks", "/pull"]) {
        const client = await target.open(path);
        assert.equal(await client.next(), "token?");
        for (const text of ["secret", "1", "999"]) client.send(text);
        assert.equal(await client.next(), "all there");
        assert.deepEqual(got.splice(0), [{ token: "secret" }, "1", "999"], path);
      }
    },
  },
  {
    name: "prepare: a close is what the client sees, and the handler never starts",
    async run(trial) {
      const got: unknown[] = [];
      const target = await trial.serve((vel) => {
        vel.on("open", () => got.push("open event"));
        const prepare = async (connection: Connection): Promise<void> => {
          if ((await connection.receiveText()) !== "secret") connection.close(4401, "Kein Zugang ✋");
        };
        register(vel, prepare, got);
      });
      for (const path of ["/hooks", "/pull"]) {
        const client = await target.open(path);
        for (const text of ["guess", "1", "2"]) client.send(text);
        assert.deepEqual(await client.closed, { code: 4401, reason: "Kein Zugang ✋" });
        assert.deepEqual(client.received, []);
      }
      assert.deepEqual(got, []);
    },
  },
  {
    name: "prepare: a failure ends its own connection with 1011 and tells nothing",
    async run(trial) {
      const got: unknown[] = [];
      const target = await trial.serve((vel) => {
        const prepare = async (connection: Connection): Promise<void> => {
          if ((await connection.receiveText()) === "fail") throw new Error("secret");
        };
        register(vel, prepare, got);
      });
      const other = await target.open("/hooks");
      for (const path of ["/hooks", "/pull"]) {
        const client = await target.open(path);
        for (const text of ["fail", "1"]) client.send(text);
        assert.deepEqual(await client.closed, { code: 1011, reason: "internal error" });
        assert.deepEqual(await target.told(1), ["prepare: secret"]);
      }
      assert.deepEqual(got, []);
      for (const text of ["good", "999"]) other.send(text);
      assert.equal(await other.next(), "all there");
      assert.deepEqual(got, [{}, "999"]);
    },
  },
  {
    name: "prepare: a client that leaves meanwhile is forgotten, and what it said reaches the handler",
    async run(trial) {
      for (const path of ["/hooks", "/pull"]) {
        const got: unknown[] = [];
        let left: () => void = () => undefined;
        const hasLeft = new Promise<void>((resolve) => (left = resolve));
        const target = await trial.serve((vel) => {
          const prepare = async (connection: Connection): Promise<void> => {
            connection.onClose(left);
            await hasLeft;
          };
          register(vel, prepare, got);
        });
        const client = await target.open(path);
        for (const text of ["1", "2"]) client.send(text);
        client.close(1000);
        await client.closed;
        await hasLeft;
        while (got.length < 3) await setImmediate();
        assert.deepEqual(got, [{}, "1", "2"], path);
        assert.equal(target.vel.connections.size, 0);
      }
    },
  },
];
