/**
 * The ways to send somebody away.
 *
 * @module
 */
import { Refusal, VelError, type Connection, type UpgradeRequest } from "@vel/core";
import type { RefuseOption, RefuseReason } from "./guard-options.ts";

/** Why a connection is closed whose token is missing, not valid, expired or revoked: which of these is not told. */
export const unauthorized: readonly [code: number, reason: string] = [4401, "unauthorized"];

/** The subprotocol that browsers offer before a token. */
export const bearerProtocol = "bearer";

/**
 * Names that back to who has offered nothing else but a token: browsers give up where nothing of what they offered is
 * taken. The token itself is never named.
 */
export function bearerAnswer({ protocols }: UpgradeRequest): { protocol?: string } {
  return protocols[0] === bearerProtocol && protocols.length <= 2 ? { protocol: bearerProtocol } : {};
}

/**
 * Prepares the answer to requests without a good token or key.
 *
 * @param challenge What to come with instead (RFC 9110, section 11.6.1).
 * @throws {TypeError} When the option is none.
 */
export function refuser(
  option: RefuseOption = "reject",
  challenge: string,
): (request: UpgradeRequest, why: RefuseReason) => Refusal {
  if (typeof option !== "function" && !["reject", "close"].includes(option)) {
    throw new TypeError(`Option "refuse" must be "reject", "close" or a function, got ${JSON.stringify(option)}`);
  }
  return (request, why) => {
    let refusal: unknown;
    if (option === "close") refusal = request.close(...unauthorized);
    else if (typeof option === "function") refusal = option(request, why);
    // Also where the function forgets to answer: then nobody is let in.
    if (!(refusal instanceof Refusal)) return request.reject(401, { headers: { "WWW-Authenticate": challenge } });
    const { closeCode, closeReason } = refusal;
    return closeCode === undefined ? refusal : request.close(closeCode, closeReason, bearerAnswer(request));
  };
}

/**
 * Closes a connection that is open and whose handler has not started, and throws what keeps the handler from starting:
 * also when the peer has left meanwhile, whose earlier messages it would get otherwise.
 */
export function turnAway(connection: Connection, [code, reason]: readonly [number, string]): never {
  connection.close(code, reason);
  throw new VelError("ERR_VEL_DISCONNECTED", "Turned away");
}
