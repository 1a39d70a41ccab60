/**
 * What does not hold on a runtime, and why: each reason is a row of docs/runtimes.md.
 *
 * @module
 */
import type { Deviation } from "@vel/testing";

/** Bun with its own adapter. */
export const onBun: readonly Deviation[] = [
  {
    cases: ["upgrade: an offer of subprotocols that nobody speaks is let in without one"],
    reason:
      "Bun names the first subprotocol that a client offers when the server chooses none. Such a request is refused with 400 instead of promising what nobody speaks.",
  },
  {
    cases: [
      "message: those that come with the request wait for a guard that thinks",
      "handshake: 10.5: 2,000 messages come before a guard has answered: all of them reach, in order, the handler of one that is let in",
    ],
    reason:
      "What a client sends before it has the 101 response is refused with 400 while a guard is awaited: Bun takes it for a second request. RFC 6455, section 4.1, has clients wait; browsers do.",
  },
  {
    cases: [
      "close: a client that does not answer is forgotten when the time is up",
      "life: a client that does not answer does not keep the server",
      "close: 7.1.1: a client that answers the server's close with messages and pings is cut off when the time is up",
      "close: 7.1.1: a client that answers the server's close with half a close frame is cut off when the time is up",
      "close: 7.1.1: a client that answers the server's close with half a message is cut off when the time is up",
    ],
    reason:
      "Bun ends a connection with the server's close frame and does not wait for the answer: `closeInfo` is there at once and says that the end was clean.",
  },
  {
    cases: [
      "payload: 10.4: the header of a message that passes its route's limit: 1009, before the bytes come",
      "payload: 10.4: the header of a fragment that passes the server's largest limit: 1009, before the bytes come",
      "payload: 10.4: the header of a fragment that passes its route's limit: 1009, before the bytes come",
    ],
    reason:
      "Bun has one limit of size for the whole server, the largest of all routes, and adds fragments up once their bytes have come: the limit of a route with a smaller one holds after receipt.",
  },
  {
    cases: ["flood: CVE row 6: 400,000 fragments of no byte or one are cut off with 1008"],
    reason:
      "Bun and Deno do not count the fragments of a message, only their bytes: a message may come in any number of empty ones. They take no memory.",
  },
  {
    cases: ["handshake: 4.1: HTTP 1.0 is refused"],
    reason: "Bun upgrades requests of HTTP 1.0 too, and does not tell a request's version.",
  },
  {
    cases: [
      "handshake: 3: a fragment in the target is refused",
      "handshake: 3: dots in the path is refused",
      "handshake: 3: a target of Latin-1 is refused",
    ],
    reason:
      "Bun reads a request's target as a URL before anybody sees it: fragments go, dots are resolved, and what is no UTF-8 becomes U+FFFD. The route of what remains is served, with its guards.",
  },
  {
    cases: ["handshake: 9.1: a malformed list of extensions, where it is looked at is refused"],
    reason: "Bun lets in a client whose list of extensions is malformed, and agrees on no extension.",
  },
  {
    cases: ["handshake: RFC 9112: empty lines before the request is let in"],
    reason: "Bun answers empty lines before a request with 400; no usual client sends them.",
  },
];

/** Bun with Node's adapter. */
export const onNodeAdapterOnBun: readonly Deviation[] = [
  {
    cases: [
      "payload: 10.4: the header of a fragment that passes the server's largest limit: 1009, before the bytes come",
      "payload: 10.4: the header of a fragment that passes its route's limit: 1009, before the bytes come",
    ],
    reason: "Bun adds fragments up once their bytes have come, so the limit of their sum holds after receipt.",
  },
  {
    cases: ["flood: CVE row 6: 400,000 fragments of no byte or one are cut off with 1008"],
    reason:
      "Bun and Deno do not count the fragments of a message, only their bytes: a message may come in any number of empty ones. They take no memory.",
  },
];

/** Deno with its own adapter. */
export const onDeno: readonly Deviation[] = [
  {
    cases: [
      "framing: 5.1: a text that is not masked: ends the connection, and reaches nobody",
      "framing: 5.1: bytes that are not masked: ends the connection, and reaches nobody",
      "framing: 5.1: an empty text that is not masked: ends the connection, and reaches nobody",
      "framing: 5.1: a ping that is not masked: ends the connection, and reaches nobody",
      "framing: 5.1: a close that is not masked: ends the connection, and reaches nobody",
      "framing: 5.1: a second fragment that is not masked: ends the connection, and reaches nobody",
      "framing: 7.1.7: any of these unmasked frames: the client is told 1002",
      "framing: 7.1.7: any of these unmasked frames: the server's closeInfo says 1002, and by whom",
      "framing: 5.1: an unmasked frame behind the handshake opens the connection and fails it",
    ],
    reason:
      "Deno takes frames that are not masked, which RFC 6455, section 5.1, forbids. Browsers always mask; masks protect proxies that would take a client's bytes for HTTP, not the server.",
  },
  {
    cases: [
      "framing: 5.5: a pong of 65,536 bytes: ends the connection, and reaches nobody",
      "framing: 5.5: a close of 126 bytes: ends the connection, and reaches nobody",
      "framing: 7.1.7: any of these long control frames: the client is told 1002",
      "framing: 7.1.7: any of these long control frames: the server's closeInfo says 1002, and by whom",
    ],
    reason: "Deno takes pongs and close frames of more than 125 bytes.",
  },
  {
    cases: [
      "text: 8.1: a last fragment that leaves a code point open: ends the connection, and reaches nobody",
      "text: 7.1.7: any of these unfinished texts: the client is told 1007",
      "text: 7.1.7: any of these unfinished texts: the server's closeInfo says 1007, and by whom",
    ],
    reason:
      "Deno lets in a text in fragments that ends within a character, without that character. Other bytes that are no UTF-8 it refuses.",
  },
  {
    cases: [
      "framing: 7.1.7: any of these frames: the client is told 1002",
      "framing: 7.1.7: any of these lengths: the client is told 1009",
      "text: 7.1.7: any of these bytes: the client is told 1007",
      "handshake: 4.1: a second request behind the handshake is a violation, not a request",
      "close: 7.1.7: any of these malformed closes: the client is told 1002",
      "close: 7.1.7: any of these unreadable reasons: the client is told 1007",
      "deflate: CVE row 14: a compressed frame is 1002, where compression is off",
      "close: 7.1.2: a client that answers the server's close with a violation does not change its code",
    ],
    reason:
      "Deno ends the TCP connection of a client that violates the protocol without telling why, so the client sees 1006 instead of 1002, 1007 or 1009. The server's `closeInfo` says the code.",
  },
  {
    cases: [
      "payload: 10.4: the header of a message that passes the server's largest limit: 1009, before the bytes come",
      "payload: 10.4: the header of a message that passes its route's limit: 1009, before the bytes come",
      "payload: 10.4: the header of a fragment that passes the server's largest limit: 1009, before the bytes come",
      "payload: 10.4: the header of a fragment that passes its route's limit: 1009, before the bytes come",
      "payload: CVE row 2: any of these headers: 1009, before the bytes come",
    ],
    reason:
      "Deno has a fixed limit of 64 MiB before receipt: a smaller `maxPayload` holds once the message is there, so each connection can hold that much for a moment.",
  },
  {
    cases: ["flood: CVE row 6: 400,000 fragments of no byte or one are cut off with 1008"],
    reason:
      "Bun and Deno do not count the fragments of a message, only their bytes: a message may come in any number of empty ones. They take no memory.",
  },
  {
    cases: ["close: 7.4: a code that was registered later is answered in kind"],
    reason: "Deno takes close code 1014 for a violation.",
  },
  {
    cases: [
      "close: 7.1.1: a client that answers the server's close with messages and pings is cut off when the time is up",
      "payload: 10.4: a message over the limit: what came before it is taken, what follows it is not",
    ],
    reason:
      "Deno cannot cut a connection: a client that does not answer the server's close, or goes on sending behind it, keeps its TCP connection. The server has forgotten it when `closeTimeout` is over.",
  },
  {
    cases: ["handshake: 4.1: HTTP 1.0 is refused"],
    reason: "Deno upgrades requests of HTTP 1.0 too, and does not tell a request's version.",
  },
  {
    cases: [
      "handshake: 3: a fragment in the target is refused",
      "handshake: 3: dots in the path is refused",
      "handshake: 3: an absolute target of another scheme is refused",
    ],
    reason:
      "Deno reads a request's target as a URL before anybody sees it: fragments go, dots are resolved, and any scheme will do. The route of what remains is served, with its guards.",
  },
  {
    cases: ["handshake: RFC 9112: lines that end in LF alone is refused"],
    reason: "Deno takes a lone LF for the end of a line, which RFC 9112, section 2.2, allows.",
  },
  {
    cases: ["handshake: RFC 9112: a body of no bytes is let in"],
    reason: "Deno upgrades no request that says Content-Length: 0, as the client of the JDK does: it gets 400.",
  },
  {
    cases: [
      "handshake: CVE row 11: a refusal of a guard ends the connection",
      "handshake: CVE row 11: a refusal of a guard ends the socket, though the client does not",
      "handshake: CVE row 11: a refusal of a path ends the socket, though the client does not",
      "handshake: CVE row 11: a refusal of a handshake's faults ends the socket, though the client does not",
      "handshake: CVE row 11: a refusal of another upgrade ends the socket, though the client does not",
    ],
    reason:
      "Deno keeps the connection of a refused request for the next one, whatever the answer says, until the client ends it: a proxy in front has to limit idle connections.",
  },
];
