/**
 * How a connection ended that is not open any more.
 *
 * @module
 */
import type { CloseInfo, Connection } from "@vel/core";

/** What is said of a connection that has stopped being open and has not ended yet. */
const pending: CloseInfo = { code: 1006, reason: "", wasClean: false, by: "remote" };

/** Reads how a connection ended, or says 1006 while its closing handshake still runs. */
export function closeInfoOf(connection: Connection): CloseInfo {
  return connection.closeInfo ?? pending;
}
