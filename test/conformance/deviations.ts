/**
 * What does not hold on a runtime, and why: each reason is a row of docs/runtimes.md.
 *
 * @module
 */
import type { Deviation } from "@vel/testing";
import { framingOnBun, framingOnDeno, framingOnNodeAdapterOnBun } from "./deviations-framing.ts";
import { handshakeOnBun, handshakeOnDeno } from "./deviations-handshake.ts";

/** Bun with its own adapter. */
export const onBun: readonly Deviation[] = [
  {
    cases: ["upgrade: an offer of subprotocols that nobody speaks is let in without one"],
    reason:
      "Bun names the first subprotocol that a client offers when the server chooses none. Such a request is refused with 400 instead of promising what nobody speaks.",
  },
  {
    cases: ["message: those that come with the request wait for a guard that thinks"],
    reason:
      "What a client sends before it has the 101 response is refused with 400 while a guard is awaited: Bun takes it for a second request. RFC 6455, section 4.1, has clients wait; browsers do.",
  },
  {
    cases: [
      "close: a client that does not answer is forgotten when the time is up",
      "life: a client that does not answer does not keep the server",
    ],
    reason:
      "Bun ends a connection with the server's close frame and does not wait for the answer: `closeInfo` is there at once and says that the end was clean.",
  },
  ...framingOnBun,
  ...handshakeOnBun,
];

/** Deno with its own adapter. */
export const onDeno: readonly Deviation[] = [
  {
    cases: ["close: a client that is still sending learns the code"],
    reason:
      "Deno ends the TCP connection when another message comes after the server's close, so a client that is sending right then sees 1006. The server's `closeInfo` says the code.",
  },
  ...framingOnDeno,
  ...handshakeOnDeno,
];

/** Bun with the Node adapter. */
export const onNodeAdapterOnBun: readonly Deviation[] = framingOnNodeAdapterOnBun;
