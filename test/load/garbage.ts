/**
 * What is no handshake.
 *
 * @module
 */
import type { Chance } from "./frames.ts";
import { handshake } from "./target.ts";

const proper = handshake("/echo");

/** Ways to say something else than what a server waits for. Whoever says it leaves, whether it is answered or not. */
const kinds: readonly ((chance: Chance) => string | Buffer)[] = [
  (chance) => chance.bytes(1 + chance.below(300)),
  // A byte that is another one, one that is missing, and an end that is.
  function flipByte(chance) {
    const bytes = Buffer.from(proper);
    bytes[chance.below(bytes.length)] = chance.below(256);
    return bytes;
  },
  function cutOut(chance) {
    const at = chance.below(proper.length);
    return proper.slice(0, at) + proper.slice(at + 1 + chance.below(8));
  },
  (chance) => proper.slice(0, chance.below(proper.length)),
  // Headers that are absent, wrong, twice, huge, or too many.
  (chance) =>
    proper.replace(/^(Host|Connection|Upgrade|Sec-WebSocket-.*?): .*\r\n/gm, (line) => (chance.below(3) ? line : "")),
  () => proper.replace("Version: 13", "Version: 99"),
  () => proper.replace("AAAA", "!"),
  () => proper.replace("\r\n\r\n", "\r\nSec-WebSocket-Key: BBBBBBBBBBBBBBBBBBBBBB==\r\n\r\n"),
  () => handshake("/echo", `Sec-WebSocket-Protocol: ${"a,".repeat(500)}\r\n`),
  () => handshake("/echo", `Sec-WebSocket-Extensions: ${"constructor; __proto__, ".repeat(50)}\r\n`),
  (chance) => handshake("/echo", `X-Long: ${"x".repeat(chance.below(100_000))}\r\n`),
  () => handshake("/echo", "X-Many: 1\r\n".repeat(300)),
  () => handshake("/echo", "X-Nul: \0\r\nX-Folded: a\r\n b\r\n"),
  () => handshake("/echo", "Content-Length: 5\r\n") + "hello",
  () => handshake("/echo", "Transfer-Encoding: chunked\r\n") + "zz\r\n",
  () => handshake("/echo", "Origin: https://evil.example\r\n"),
  // Targets and methods that nobody has.
  () => handshake("/%zz"),
  () => handshake(`/${"a".repeat(20_000)}`),
  () => handshake("/nowhere"),
  () => handshake("http://127.0.0.1:99999/echo"),
  () => proper.replace("GET", "POST"),
  () => proper.replace("HTTP/1.1", "HTTP/1.0"),
  () => proper.replace("HTTP/1.1", "HTTP/9.9"),
  // Other protocols: HTTP/2, TLS, and requests behind one another.
  () => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  (chance) => Buffer.concat([Buffer.from("160301020001 0001fc0303".replace(" ", ""), "hex"), chance.bytes(500)]),
  () => "GET /a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(5) + proper,
];

/** Makes one of them. */
export function garbage(chance: Chance): string | Buffer {
  return chance.pick(kinds)(chance);
}
