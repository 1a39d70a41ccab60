/**
 * That both forms of handlers run as they are documented, and that what fails in one harms nobody else.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { CloseInfo, Connection, StandardSchemaV1, Vel } from "@vel/core";
import type { ConformanceCase } from "./case.ts";
import type { Trial } from "./trial.ts";

/** What must never reach a client. */
const secret = "the secret of the handler";

const fail = (): never => {
  throw new Error(secret);
};
// eslint-disable-next-line @typescript-eslint/require-await -- a rejection instead of a throw is what is tested
const reject = async (): Promise<never> => fail();

/** A schema that nothing fits. */
const refuseAll: StandardSchemaV1<unknown, unknown> = {
  "~standard": { version: 1, vendor: "vel", validate: () => ({ issues: [{ message: "no" }] }) },
};

/** Fails unless a connection on `/failing` ends with 1011 and tells nothing, while another is served. */
async function failsAlone(trial: Trial, stage: string, routes: (vel: Vel) => void): Promise<void> {
  const target = await trial.serve(routes);
  const other = await target.open("/echo");
  const { client, info } = await target.pair("/failing");
  client.send("x");
  if (stage === "close") {
    client.close(1000);
    assert.equal((await client.closed).code, 1000);
  } else {
    assert.deepEqual(await client.closed, { code: 1011, reason: "internal error" });
    assert.deepEqual(await info.then(({ code, by }) => [code, by]), [1011, "local"]);
  }
  assert.deepEqual(client.received, []);
  assert.deepEqual(await target.told(1), [`${stage}: ${secret}`]);
  other.send("served");
  assert.equal(await other.next(), "served");
}

/** Cases about handlers. */
export const handlerCases: readonly ConformanceCase[] = [
  {
    name: "hooks: run in their order, the last one once, with what the ones before gave",
    async run(trial) {
      const ran: string[] = [];
      let over: (info: CloseInfo) => void = () => undefined;
      const ended = new Promise<CloseInfo>((resolve) => (over = resolve));
      const target = await trial.serve((vel) => {
        vel
          .with(() => ({ data: { guard: "g" } }))
          .websocket("/hooks/:name", {
            async upgrade({ params, data }) {
              ran.push(`upgrade ${params.name} ${data.guard}`);
              await Promise.resolve();
              return { data: { upgrade: "u" } };
            },
            async open({ params, data }) {
              ran.push(`open ${params.name} ${data.guard}${data.upgrade}`);
              await Promise.resolve();
              ran.push("opened");
            },
            async message(_, message) {
              ran.push(`message ${String(message)}`);
              await Promise.resolve();
              ran.push(`done ${String(message)}`);
            },
            close(connection, info) {
              ran.push(`close ${String(connection.isOpen)}`);
              over(info);
            },
          });
      });
      const client = await target.open("/hooks/caf%C3%A9");
      client.send("1");
      client.send("2");
      client.close(4000, "bye");
      assert.deepEqual(await ended, { code: 4000, reason: "bye", wasClean: true, by: "remote" });
      await client.closed;
      const messages = ["message 1", "done 1", "message 2", "done 2"];
      assert.deepEqual(ran, ["upgrade café g", "open café gu", "opened", ...messages, "close false"]);
    },
  },
  {
    name: "pull: reads, answers, and ends with the connection",
    async run(trial) {
      const ran: string[] = [];
      let over: () => void = () => undefined;
      const ended = new Promise<void>((resolve) => (over = resolve));
      const target = await trial.serve((vel) => {
        vel.websocket("/pull/:name", async (request) => {
          const connection = await request.accept({ data: { user: request.query.get("user") } });
          try {
            const first = await connection.receiveText();
            connection.send(`${first} ${request.params.name} ${connection.data.user ?? ""}`);
            const bytes = await connection.receiveBytes();
            connection.send(bytes);
            for await (const value of connection.jsons()) connection.sendJson({ value: String(value) });
            ran.push("loop over");
          } finally {
            ran.push("cleaned up");
            over();
          }
        });
      });
      const client = await target.open("/pull/lobby?user=ada");
      client.send("hello");
      assert.equal(await client.next(), "hello lobby ada");
      client.send(Uint8Array.of(1, 2, 3));
      assert.deepEqual(new Uint8Array((await client.next()) as Uint8Array), Uint8Array.of(1, 2, 3));
      client.send("[1]");
      assert.equal(await client.next(), '{"value":"1"}');
      client.close();
      await ended;
      assert.deepEqual(ran, ["loop over", "cleaned up"]);
      assert.deepEqual(await client.closed, { code: 1005, reason: "" });
    },
  },
  {
    name: "pull: returning closes with 1000, a wrong message with 1007",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/once", async (request) => {
          const connection = await request.accept();
          connection.send(JSON.stringify(await connection.receiveJson()));
        });
      });
      const good = await target.open("/once");
      good.send('{"a":1}');
      assert.equal(await good.next(), '{"a":1}');
      assert.deepEqual(await good.closed, { code: 1000, reason: "" });
      for (const wrong of ["no JSON", Uint8Array.of(1)]) {
        const client = await target.open("/once");
        client.send(wrong);
        assert.deepEqual(await client.closed, { code: 1007, reason: "invalid message" });
      }
    },
  },
  {
    name: "pull: refuses by returning, by throwing, and by not accepting",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/returns", (request) => Promise.resolve(request.reject(409, { body: "No" })));
        vel.websocket("/throws", (request) => {
          throw request.reject(410);
        });
        vel.websocket("/fails", fail);
      });
      const { status, body } = await target.refused("/returns");
      assert.deepEqual([status, body], [409, "No"]);
      assert.equal((await target.refused("/throws")).status, 410);
      const failed = await target.refused("/fails");
      assert.equal(failed.status, 500);
      assert(!failed.body.includes(secret));
      assert.deepEqual(await target.told(1), [`upgrade: ${secret}`]);
    },
  },
  ...(["throws", "rejects"] as const).flatMap((how): ConformanceCase[] => {
    const failing = how === "throws" ? fail : reject;
    return [
      {
        name: `failure: a guard that ${how} is a 500 that tells nothing`,
        async run(trial) {
          const target = await trial.serve((vel) => {
            vel.with(failing).websocket("/failing", {});
          });
          const { status, body } = await target.refused("/failing");
          assert.equal(status, 500);
          assert(!body.includes(secret));
          assert.deepEqual(await target.told(1), [`guard: ${secret}`]);
        },
      },
      {
        name: `failure: an upgrade hook that ${how} is a 500 that tells nothing`,
        async run(trial) {
          const target = await trial.serve((vel) => {
            vel.websocket("/failing", { upgrade: failing });
          });
          const { status, body } = await target.refused("/failing");
          assert.equal(status, 500);
          assert(!body.includes(secret));
          assert.deepEqual(await target.told(1), [`upgrade: ${secret}`]);
        },
      },
      {
        name: `failure: an invalid hook that ${how} ends its own connection`,
        run: (trial) =>
          failsAlone(trial, "invalid", (vel) => {
            vel.websocket("/failing", { schema: refuseAll, message: () => undefined, invalid: failing });
          }),
      },
      {
        name: `failure: a drain hook that ${how} ends its own connection`,
        needs: { buffered: true },
        otherwise: "buffered: is undefined where the transport cannot tell",
        async run(trial) {
          const target = await trial.serve((vel) => {
            vel.websocket("/failing", { sendBuffer: { limit: 2 ** 26 }, drain: failing });
          });
          const { client, connection, info } = await target.pair("/failing");
          client.pause();
          for (let i = 0; i < 40; i++) connection.send(new Uint8Array(2 ** 20)); // more than half of the limit
          client.resume();
          assert.deepEqual(await info.then(({ code, by }) => [code, by]), [1011, "local"]);
          assert.deepEqual(await target.told(1), [`drain: ${secret}`]);
        },
      },
      ...(["open", "message", "close"] as const).map((hook): ConformanceCase => ({
        name: `failure: a ${hook} hook that ${how} ends its own connection`,
        run: (trial) =>
          failsAlone(trial, hook, (vel) => {
            vel.websocket("/failing", { [hook]: failing });
          }),
      })),
    ];
  }),
  {
    name: "failure: a pull handler that throws ends its own connection",
    run: (trial) =>
      failsAlone(trial, "handler", (vel) => {
        vel.websocket("/failing", async (request) => {
          const connection = await request.accept();
          await connection.receiveText();
          fail();
        });
      }),
  },
  {
    name: "failure: listeners that throw are told of, and the others run",
    async run(trial) {
      const ran: string[] = [];
      const target = await trial.serve();
      const { client, connection, info } = await target.pair("/echo");
      const listen = (name: string) => (): void => {
        ran.push(name);
        fail();
      };
      connection.onClosing(listen("closing"));
      connection.onClose(listen("close"));
      // eslint-disable-next-line @typescript-eslint/no-misused-promises -- a rejection is told of, too
      connection.onClose(reject);
      connection.onClose(() => ran.push("the other"));
      client.close(1000);
      await info;
      assert.deepEqual(await target.told(3), Array<string>(3).fill(`listener: ${secret}`));
      assert.deepEqual(ran, ["closing", "close", "the other"]);
    },
  },
  {
    name: "serial: an async message hook sees one message at a time, unless told otherwise",
    async run(trial) {
      const target = await trial.serve((vel) => {
        for (const serial of [true, false]) {
          let running = 0;
          const most = new WeakMap<Connection, number>();
          vel.websocket(`/serial/${String(serial)}`, {
            serial,
            async message(connection) {
              running++;
              most.set(connection, Math.max(most.get(connection) ?? 0, running));
              for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
              running--;
              connection.send(String(most.get(connection)));
            },
          });
        }
      });
      for (const [path, most] of [
        ["/serial/true", "1"],
        ["/serial/false", "10"],
      ] as const) {
        const client = await target.open(path);
        for (let i = 0; i < 10; i++) client.send("x");
        const answers = [];
        for (let i = 0; i < 10; i++) answers.push(await client.next());
        assert.equal(answers.at(-1), most, path);
      }
    },
  },
];
