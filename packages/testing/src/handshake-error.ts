/**
 * The HTTP answer that refused a handshake.
 *
 * @module
 */
import { VelError, type HeaderList } from "@vel/core";

/**
 * Says that a handshake was refused with an HTTP answer.
 *
 * @example
 * await expect(connect(vel, "/nope")).rejects.toMatchObject({ code: "ERR_VEL_HANDSHAKE", status: 404 });
 */
export class HandshakeError extends VelError<"ERR_VEL_HANDSHAKE"> {
  override readonly name = "HandshakeError";
  /** The HTTP status. */
  readonly status: number;
  /** The headers of the answer. */
  readonly headers: Headers;
  /** The body of the answer. */
  readonly body: string;

  constructor(status: number, headers: HeaderList, body: string) {
    super("ERR_VEL_HANDSHAKE", `Handshake refused with ${String(status)}`);
    this.status = status;
    this.headers = new Headers(headers.map(([name, value]) => [name, value]));
    this.body = body;
  }
}
