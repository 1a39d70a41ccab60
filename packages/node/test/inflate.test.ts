/** Compressed messages that are none. */
import { once } from "node:events";
import { deflateRawSync } from "node:zlib";
import { createVel, type CloseInfo } from "@vel/core";
import { serve } from "@vel/node";
import { expect, test } from "vitest";
import { deferred, frame, handshake, Wire } from "./kit.ts";

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
