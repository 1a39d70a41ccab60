/**
 * The errors that callers handle, each with a code to switch on. Misuse by the programmer is a built-in TypeError
 * or RangeError instead.
 *
 * @module
 */
import type { CloseInfo } from "./close.ts";
import type { StandardSchemaV1 } from "./standard-schema.ts";

/** The codes of core's errors. Packages add their own. */
export type VelErrorCode =
  | "ERR_VEL_BROKER_DOWN"
  | "ERR_VEL_DISCONNECTED"
  | "ERR_VEL_INVALID_MESSAGE"
  | "ERR_VEL_LIMIT"
  | "ERR_VEL_REFUSED"
  | "ERR_VEL_REPLY"
  | "ERR_VEL_STATE"
  | "ERR_VEL_TIMEOUT"
  | "ERR_VEL_UNKNOWN_TYPE"
  | "ERR_VEL_UNSUPPORTED";

/**
 * A condition that a caller can handle.
 *
 * @example
 * try {
 *   await connection.receiveText({ timeout: 5_000 });
 * } catch (error) {
 *   if (error instanceof VelError && error.code === "ERR_VEL_TIMEOUT") connection.close(4408);
 * }
 */
export class VelError<Code extends string = VelErrorCode> extends Error {
  override readonly name: string = "VelError";
  /** What to switch on; texts may change, codes do not. */
  readonly code: Code;
  /** When it is worth to try again, in milliseconds from now; undefined when nothing is known about that. */
  readonly retryAfter: number | undefined;

  constructor(code: Code, message: string, options?: { cause?: unknown; retryAfter?: number }) {
    super(message, options && "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.retryAfter = options?.retryAfter;
  }
}

/**
 * Says that the peer is gone: thrown by the receiving methods, and by `accept()` when the client left meanwhile.
 *
 * A handler that lets it through has simply ended.
 *
 * @example
 * try {
 *   for (;;) connection.send(await connection.receiveText());
 * } catch (error) {
 *   if (error instanceof DisconnectError) console.log("gone", error.info.code);
 *   else throw error;
 * }
 */
export class DisconnectError extends VelError<"ERR_VEL_DISCONNECTED"> {
  override readonly name = "DisconnectError";
  /** How the connection ended. */
  readonly info: CloseInfo;

  constructor(info: CloseInfo) {
    super("ERR_VEL_DISCONNECTED", `Disconnected with code ${String(info.code)}`);
    this.info = info;
  }
}

/**
 * Says that a message was not what the receiver asked for: a wrong kind of frame, not JSON, or refused by a schema.
 *
 * The message is consumed and the connection stays open; uncaught it closes with 1007.
 *
 * @example
 * try {
 *   await connection.receiveJson();
 * } catch (error) {
 *   if (error instanceof InvalidMessageError) connection.sendJson({ type: "error", code: error.code });
 *   else throw error;
 * }
 */
export class InvalidMessageError extends VelError<"ERR_VEL_INVALID_MESSAGE"> {
  override readonly name = "InvalidMessageError";
  /** What the schema objected to; empty when no schema was asked. */
  readonly issues: readonly StandardSchemaV1.Issue[];

  constructor(message: string, options: { issues?: readonly StandardSchemaV1.Issue[]; cause?: unknown } = {}) {
    super("ERR_VEL_INVALID_MESSAGE", message, "cause" in options ? { cause: options.cause } : undefined);
    this.issues = options.issues ?? [];
  }
}
