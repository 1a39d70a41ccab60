/** Frames that are almost right. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { deflateRawSync } from "node:zlib";
import { createVel, type CloseInfo } from "@vel/core";
import { serve } from "@vel/node";
import { expect, test } from "vitest";
import { deferred, frame, handshake, Wire } from "./kit.ts";

const run = promisify(execFile);
const fixture = fileURLToPath(new URL("fixtures/fuzz.ts", import.meta.url));

test(
  "20,000 mutated frames crash nothing, leave nothing behind and are nobody's error",
  { timeout: 120_000 },
  async () => {
    const { stdout } = await run(process.execPath, ["--expose-gc", "--conditions=@vel/source", fixture, "20000", "1"]);
    const { codes, growth, messages, ...rest } = JSON.parse(stdout) as {
      readonly codes: Readonly<Record<string, number>>;
      readonly growth: number;
      readonly messages: number;
    };
    expect(rest).toEqual({
      sent: 20_000,
      opened: 20_000,
      closed: 20_000,
      connections: 0,
      isPrototypeClean: true,
      errors: [],
      uncaught: [],
    });
    expect(growth).toBeLessThan(2 ** 25);
    // They came as far as they should: some are messages still, others are refused for one reason or another.
    expect(messages).toBeGreaterThan(0);
    for (const code of ["1002", "1006", "1007", "1009"]) expect(codes[code], code).toBeGreaterThan(0);
  },
);

// What zlib says of a corrupt frame was once an error of the server, so that any client could fill its log.
test.each([
  ["cannot be inflated", Buffer.from([0xff, 0xff, 0xff, 0xff])],
  ["refers to what never was", deflateRawSync(Buffer.from("hello hello"), { dictionary: Buffer.from("hello hello") })],
])("A compressed message that %s closes with 1007 and is not told to onError", async (_name, payload) => {
  const errors: unknown[] = [];
  const ended = deferred<CloseInfo>();
  const got: unknown[] = [];
  const vel = createVel({ compression: true, onError: (error) => errors.push(error) });
  vel.websocket("/", {
    message: (_connection, message) => void got.push(message),
    close: (_connection, info) => {
      ended.resolve(info);
    },
  });
  const server = await serve(vel, { hostname: "127.0.0.1" });
  const wire = await Wire.open(server.port);
  wire.write(handshake("/", { "Sec-WebSocket-Extensions": "permessage-deflate" }));
  expect(await wire.until("\r\n\r\n")).toContain("permessage-deflate");
  const closed = once(wire.socket, "close");
  wire.write(frame(0x40 | 1, payload), frame(8, Buffer.from([3, 232])));
  const info = await ended.promise;
  await closed;
  expect(info).toMatchObject({ code: 1007, by: "local" });
  expect(got).toEqual([]);
  expect(errors).toEqual([]);
  await server.close();
});
