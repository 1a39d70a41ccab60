import { test } from "vitest";
import { ask, handshake, Wire } from "../kit.ts";
import { serveTarget } from "./target.ts";
const target = serveTarget({ origins: ["https://app.example.com"] }, (vel) => {
  vel.websocket("/deflate", { compression: true, message: (c, m) => c.send(m) });
  vel.websocket("/p/:name", { message: (c, m) => c.send(m) });
});
const cases: Record<string, string> = {
  tiny: handshake("/echo").replace(/\r\n\r\n$/, "\r\n" + "a:\r\n".repeat(2500) + "Origin: https://evil\r\n\r\n"),
  tinyfirst: handshake("/echo").replace("\r\n", "\r\n" + "a:\r\n".repeat(2500)),
  keyfirst: handshake("/echo").replace(/\r\n\r\n$/, "\r\n" + "a:\r\n".repeat(1900) + "Origin: https://evil\r\n\r\n"),
  up: handshake("/echo").replace("Upgrade: websocket", "Upgrade: websocket\r\nupgrade : websocket"),
  emptyupg: handshake("/echo", {Upgrade: ""}), 
  cl: handshake("/echo", {"Content-Length": "abc"}), cl2: handshake("/echo", {"Content-Length": "-1"}), cl3: handshake("/echo", {"Content-Length": ["0", "0"]}),
  expect: handshake("/echo", {Expect: "100-continue"}),
  nonascii: handshake("/p/\xe9\xff"), hdr: handshake("/echo", { "X-A": "\xe9\xff" }),
  noslash: handshake("", {}, "GET echo HTTP/1.1"), spaces: handshake("", {}, "GET /echo /echo HTTP/1.1"), tab: handshake("", {}, "GET\t/echo\tHTTP/1.1"),
  query: handshake("/echo?" + "a&".repeat(5000)), dotdot: handshake("/p/../echo"),
  proto: handshake("/echo", {"Sec-WebSocket-Protocol": "constructor, __proto__, toString"}),
  protolf: handshake("/echo", {"Sec-WebSocket-Protocol": "a b"}),
};
test("x", async () => {
  for (const [name, text] of Object.entries(cases)) {
    const wire = await Wire.open(target.port);
    wire.write(text);
    const first = await Promise.race([wire.until("\r\n\r\n"), wire.ended]);
    console.log(name, "=>", JSON.stringify(first).slice(0, 300));
    wire.socket.resetAndDestroy();
    await wire.ended;
  }
  target.errors.splice(0).forEach((e) => console.log(e));
});
