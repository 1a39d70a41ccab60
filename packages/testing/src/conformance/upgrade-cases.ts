/**
 * That requests are decided on as they are documented, and answered with what was decided.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { ManualClock } from "../manual-clock.ts";
import { handshake } from "./bytes.ts";
import type { ConformanceCase } from "./case.ts";
import type { Answer } from "./raw-client.ts";

/** All values of a header, in order. */
function valuesOf({ headers }: Pick<Answer, "headers">, wanted: string): string[] {
  return headers.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value);
}

/** Cases about the handshake. */
export const upgradeCases: readonly ConformanceCase[] = [
  {
    name: "upgrade: a refusal arrives with its status, headers and body",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/refuse/:status", (request) =>
          request.reject(Number(request.params.status), {
            body: "Nein ✋",
            retryAfter: 1_500,
            headers: { "x-why": "test", "content-type": "text/plain; charset=utf-8" },
          }),
        );
      });
      for (const status of [400, 401, 403, 404, 409, 426, 429, 500, 503]) {
        const answer = await target.refused(`/refuse/${String(status)}`);
        assert.equal(answer.status, status);
        assert.equal(answer.body, "Nein ✋");
        assert.deepEqual(valuesOf(answer, "x-why"), ["test"]);
        assert.deepEqual(valuesOf(answer, "retry-after"), ["2"]);
        assert.deepEqual(valuesOf(answer, "content-type"), ["text/plain; charset=utf-8"]);
      }
    },
  },
  {
    name: "upgrade: a refusal with several headers of one name keeps them all",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/refuse", (request) =>
          request.reject(401, {
            headers: [
              ["set-cookie", "a=1; Path=/"],
              ["set-cookie", "b=2; Path=/"],
            ],
          }),
        );
      });
      const answer = await target.refused("/refuse");
      assert.deepEqual(valuesOf(answer, "set-cookie"), ["a=1; Path=/", "b=2; Path=/"]);
    },
  },
  {
    name: "upgrade: a refusal by close code is a connection that closes at once",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/refuse", (request) => request.close(4001, "Kein Zugang ✋"));
      });
      const client = await target.open("/refuse");
      assert.deepEqual(await client.closed, { code: 4001, reason: "Kein Zugang ✋" });
      assert.deepEqual(client.received, []);
    },
  },
  {
    name: "upgrade: what no route answers is a 404, a malformed escape a 400",
    async run(trial) {
      const target = await trial.serve((vel) => vel.websocket("/named/:name", {}));
      assert.equal((await target.refused("/nowhere")).status, 404);
      assert.equal((await target.refused("/named/a/b")).status, 404);
      assert.equal((await target.refused("/named/%zz")).status, 400);
    },
  },
  {
    name: "upgrade: pages of other origins are refused with 403",
    async run(trial) {
      const target = await trial.serve(() => undefined, { origins: ["https://app.example.com", "same"] });
      for (const origin of ["https://evil.example", "null", "https://app.example.com.evil.example"]) {
        assert.equal((await target.refused("/echo", { headers: { origin } })).status, 403, origin);
      }
      assert.equal((await target.refused("/echo", { headers: { cookie: "session=1" } })).status, 403);
      for (const origin of ["https://app.example.com", "https://APP.example.com", "http://vel.test:8080"]) {
        await target.open("/echo", { headers: { host: "vel.test:8080", origin } });
      }
    },
  },
  {
    name: "upgrade: guards see the request: path, query, headers, cookies, protocols, address",
    async run(trial) {
      let seen: unknown;
      const target = await trial.serve((vel) => {
        vel
          .with(({ path, query, headers, cookies, protocols, remote }) => {
            seen = {
              path,
              query: [...query],
              header: headers.get("x-key"),
              cookie: cookies.get("session"),
              protocols,
              address: remote?.address,
            };
          })
          .websocket("/see/:what", { protocols: ["two"] });
      });
      await target.open("/see/m%C3%A4h?a=1&a=%26&b", {
        headers: { host: "vel.test", origin: "http://vel.test", "x-key": "secret", cookie: "other=1; session=a%20b" },
        protocols: ["one", "two"],
      });
      assert.deepEqual(seen, {
        path: "/see/m%C3%A4h",
        query: [
          ["a", "1"],
          ["a", "&"],
          ["b", ""],
        ],
        header: "secret",
        cookie: "a b",
        protocols: ["one", "two"],
        address: "127.0.0.1",
      });
    },
  },
  {
    name: "upgrade: behind trusted proxies the address is the one that they name, however much the client makes up",
    async run(trial) {
      const forwarded = [
        { header: "198.51.100.1", listed: "198.51.100.1", counted: "198.51.100.1" },
        { header: "203.0.113.9,198.51.100.1:4711, 127.0.0.2", listed: "198.51.100.1", counted: "127.0.0.2" },
        {
          header: ["203.0.113.9", "::1, [2001:DB8::7]:80", "::ffff:127.0.0.3"],
          listed: "2001:db8::7",
          counted: "127.0.0.3",
        },
        { header: ["203.0.113.9", "unknown"], listed: "127.0.0.1", counted: "127.0.0.1" },
        { header: "", listed: "127.0.0.1", counted: "127.0.0.1" },
        { header: undefined, listed: "127.0.0.1", counted: "127.0.0.1" },
      ];
      const seen: unknown[] = [];
      for (const trustProxy of [["loopback"], 1, false] as const) {
        const target = await trial.serve(
          (vel) => {
            vel.with(({ remote }) => void seen.push(remote?.address)).websocket("/see", {});
          },
          { trustProxy },
        );
        for (const { header, listed, counted } of forwarded) {
          const { connection } = await target.pair("/see", { headers: { "X-Forwarded-For": header } });
          const address = trustProxy === false ? "127.0.0.1" : trustProxy === 1 ? counted : listed;
          assert.deepEqual([connection.remote?.address, seen.pop()], [address, address], String(header));
        }
      }
    },
  },
  {
    name: "upgrade: the response carries the headers that were given, repeated ones too",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/headers", {
          upgrade: () => ({
            headers: [
              ["set-cookie", "a=1"],
              ["X-Mine", "yes"],
              ["set-cookie", "b=2"],
            ],
          }),
        });
      });
      const client = await target.open("/headers");
      assert.deepEqual(client.headers.getSetCookie(), ["a=1", "b=2"]);
      assert.equal(client.headers.get("x-mine"), "yes");
    },
  },
  {
    name: "upgrade: the subprotocol is the route's best that the client offered, however it is written",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/spoken", { protocols: ["chat.v2", "chat.v1"] });
        vel.websocket("/wanted", { protocols: ["chat.v2"], upgrade: () => ({ protocol: "chat.v1" }) });
      });
      for (const [path, offer, chosen] of [
        ["/spoken", "chat.v1, chat.v2", "chat.v2"],
        ["/spoken", "chat.v1,chat.v2", "chat.v2"],
        ["/spoken", "other ,\tchat.v1", "chat.v1"],
        ["/spoken", undefined, ""],
        ["/wanted", "chat.v2,chat.v1", "chat.v1"],
      ] as const) {
        const { client, connection } = await target.pair(path, { headers: { "sec-websocket-protocol": offer } });
        assert.equal(client.protocol, chosen, offer);
        assert.equal(connection.protocol, chosen, offer);
      }
    },
  },
  {
    name: "upgrade: subprotocols in several header lines are one list",
    needs: { sockets: true },
    otherwise: "upgrade: the subprotocol is the route's best that the client offered, however it is written",
    async run(trial) {
      const target = await trial.serve((vel) => vel.websocket("/spoken", { protocols: ["chat.v2", "chat.v1"] }));
      const client = await target.open("/spoken", { headers: { "Sec-WebSocket-Protocol": ["other", "chat.v2"] } });
      assert.equal(client.protocol, "chat.v2");
    },
  },
  {
    name: "upgrade: an offer of subprotocols that nobody speaks is let in without one",
    async run(trial) {
      const target = await trial.serve((vel) => vel.websocket("/spoken", { protocols: ["chat.v2"] }));
      for (const path of ["/echo", "/spoken"]) {
        const { client, connection } = await target.pair(path, { protocols: ["nobody", "else"] });
        assert.equal(client.headers.get("sec-websocket-protocol"), null);
        assert.equal(connection.protocol, "");
      }
    },
  },
  {
    name: "upgrade: the answer to the key is the one that RFC 6455 computes",
    needs: { sockets: true },
    otherwise: "memory: messages pass without bytes",
    async run(trial) {
      const target = await trial.serve();
      const client = await target.dial();
      // The example of section 1.3.
      client.write(handshake("/echo", { "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" }));
      const answer = await client.answer();
      assert.equal(answer.status, 101);
      assert.deepEqual(valuesOf(answer, "sec-websocket-accept"), ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]);
      assert.deepEqual(valuesOf(answer, "upgrade"), ["websocket"]);
    },
  },
  {
    name: "upgrade: a client that leaves while a guard thinks becomes no connection",
    needs: { sockets: true },
    otherwise: "upgrade: a guard that never answers is a 503",
    async run(trial) {
      for (const leave of ["drop", "reset"] as const) {
        let asked: () => void = () => undefined;
        const isAsked = new Promise<void>((resolve) => (asked = resolve));
        let released = 0;
        let left: () => void = () => undefined;
        const hasLeft = new Promise<void>((resolve) => (left = resolve));
        let opened = 0;
        const target = await trial.serve((vel) => {
          vel.websocket("/thinking", {
            async upgrade(request) {
              request.defer(() => void released++);
              request.signal.addEventListener("abort", left);
              asked();
              await hasLeft;
              return {};
            },
            open: () => void opened++,
          });
        });
        const client = await target.dial();
        client.write(handshake("/thinking"));
        await isAsked;
        client[leave]();
        await hasLeft;
        while (released === 0) await setImmediate();
        assert.deepEqual([opened, released, target.vel.connections.size], [0, 1, 0], leave);
      }
    },
  },
  {
    name: "upgrade: a guard that never answers is a 503",
    async run(trial) {
      const clock = new ManualClock();
      let asked: () => void = () => undefined;
      const isAsked = new Promise<void>((resolve) => (asked = resolve));
      const target = await trial.serve(
        (vel) => {
          vel.websocket("/never", {
            upgrade() {
              asked();
              return new Promise<never>(() => undefined);
            },
          });
        },
        { clock, handshakeTimeout: 5_000 },
      );
      const refused = target.refused("/never");
      await isAsked;
      await clock.advance(5_000);
      const answer = await refused;
      assert.equal(answer.status, 503);
      assert.deepEqual(valuesOf(answer, "retry-after"), ["1"]);
      assert.match((await target.told(1)).join(), /^handshake: .*longer than 5000 ms/);
    },
  },
  {
    name: "upgrade: more connections than there may be are refused with 503 until one ends",
    async run(trial) {
      const target = await trial.serve(() => undefined, { maxConnections: 2 });
      const first = await target.pair("/echo");
      await target.open("/echo");
      assert.equal((await target.refused("/echo")).status, 503);
      first.client.close(1000);
      await first.info;
      await first.client.closed;
      await target.open("/echo").then((client) => {
        client.drop();
      });
      first.client.drop();
      for (const connection of target.vel.connections) connection.close();
    },
  },
  {
    name: "upgrade: what is refused gives its place back, and whatever its guards took",
    async run(trial) {
      let taken = 0;
      const target = await trial.serve(
        (vel) => {
          const scope = vel.with((request) => {
            taken++;
            request.defer(() => void taken--);
          });
          scope.websocket("/refused", (request) => request.reject(401));
          scope.websocket("/spoken", { protocols: ["chat"] });
          scope.websocket("/failing", {
            upgrade() {
              throw new Error("no");
            },
          });
        },
        { maxConnections: 3 },
      );
      for (let i = 0; i < 10; i++) {
        assert.equal((await target.refused("/refused")).status, 401);
        assert.equal((await target.refused("/failing")).status, 500);
        // Let in without a subprotocol, or refused where a runtime cannot say that there is none.
        const client = await target.open("/spoken", { protocols: ["nobody"] }).catch(() => undefined);
        client?.close(1000);
        await client?.closed;
        await target.everyoneLeft();
      }
      assert.equal((await target.told(10)).length, 10);
      while (taken > 0) await setImmediate();
      const clients = [await target.open("/echo"), await target.open("/echo")];
      for (const client of clients) {
        client.close(1000);
        await client.closed;
      }
    },
  },
  {
    name: "upgrade: a hundred at once are all let in, each with its own answer",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/number/:number", {
          async upgrade({ params }) {
            for (let turns = Number(params.number) % 7; turns > 0; turns--) await setImmediate();
            return { headers: { "x-number": params.number }, data: { number: params.number } };
          },
          open: (connection) => connection.send(connection.data.number),
        });
      });
      const numbers = Array.from({ length: 100 }, (_, i) => String(i));
      const clients = await Promise.all(numbers.map((number) => target.open(`/number/${number}`)));
      for (const [i, client] of clients.entries()) {
        assert.equal(client.headers.get("x-number"), String(i));
        assert.equal(await client.next(), String(i));
      }
    },
  },
];
