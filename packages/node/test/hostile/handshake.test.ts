/**
 * Requests that Node's HTTP parser refuses before anybody sees them: the limits of this server, said exactly. What every
 * runtime must refuse is in the conformance kit.
 */
import { once } from "node:events";
import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { ask, handshake, Wire } from "../kit.ts";
import { serveTarget } from "./target.ts";

const target = serveTarget({ origins: "any" }, (vel) => {
  vel.websocket("/named/:name", {});
});

/** A good request line and headers without the empty line, for what has to follow them. */
const open = handshake("/echo").slice(0, -2);

/** Opens a TCP connection, and gives the end of the server's side of it. */
async function openTcp(options?: Parameters<typeof Wire.open>[1]): Promise<{ wire: Wire; closed: Promise<Socket> }> {
  const accepted = once(target.server.server, "connection");
  const wire = await Wire.open(target.port, options);
  const [socket] = (await accepted) as [Socket];
  return {
    wire,
    closed: new Promise((resolve) =>
      socket.once("close", () => {
        resolve(socket);
      }),
    ),
  };
}

test.each<[name: string, status: number, request: string]>([
  ["4.1: HTTP 0.9", 426, "GET /echo\r\n\r\n"],
  ["4.1: the preface of HTTP/2", 400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ["CVE row 5: 3,000 headers", 431, `${open}${"a:\r\n".repeat(3_000)}\r\n`],
  ["CVE row 5: headers of 20 KB", 431, handshake("/echo", { "X-A": "a".repeat(20_000) })],
])("refuses %s", async (_, status, request) => {
  expect(await ask(target.port, request)).toMatch(new RegExp(`^HTTP/1\\.1 ${String(status)} `));
  expect(target.vel.connections.size).toBe(0);
});

// The server ends the connection in the middle of what it is sent, so its answer does not always arrive.
test.each<[name: string, request: string]>([
  ["a header of 8 MiB", handshake("/echo", { "X-A": "a".repeat(2 ** 23) })],
  ["a header's name of 8 MiB", handshake("/echo", { ["a".repeat(2 ** 23)]: "a" })],
  ["a target of 8 MiB", handshake(`/named/${"a".repeat(2 ** 23)}`)],
  ["8 MB of headers", `${open}${`X-A: ${"a".repeat(1_000)}\r\n`.repeat(8_000)}\r\n`],
])("CVE row 5: of %s less than a megabyte is read", async (_, request) => {
  const { wire, closed } = await openTcp();
  wire.write(request);
  expect((await closed).bytesRead).toBeLessThan(2 ** 20);
  await wire.ended.catch(() => undefined); // a reset
});

test("CVE row 11: a refusal of its headers' size ends the socket, though the client does not", async () => {
  const { wire, closed } = await openTcp({ allowHalfOpen: true });
  wire.write(handshake("/echo", { "X-A": "a".repeat(20_000) }));
  await wire.until("HTTP/1.1 431 ");
  await closed;
  wire.socket.destroy();
  await wire.ended;
});
