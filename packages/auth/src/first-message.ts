/**
 * Tokens that come as the first message.
 *
 * @module
 */
import {
  assertFrame,
  InvalidMessageError,
  jsonCodec,
  type Connection,
  type Frame,
  type UpgradeRequest,
} from "@vel/core";
import type { FirstMessageOptions } from "./guard-options.ts";
import { assertOptions, positive } from "./option-checks.ts";

/** How many bytes the first message may have: a token of 8 KiB fits, and what is written around it. */
const maxSize = 16_384;

const codec = jsonCodec({ size: maxSize });

/** A frame that shows a token. */
export interface AuthFrame extends Frame {
  readonly token: string;
}

/**
 * Checks that a frame shows a token.
 *
 * @throws {InvalidMessageError} When it does not.
 */
export function assertToken(frame: Frame): asserts frame is AuthFrame {
  if (typeof frame["token"] !== "string") throw new InvalidMessageError("Frame has no token");
}

/**
 * Waits for the first message of a connection: `{ type: "auth", token, id? }`.
 *
 * @throws {InvalidMessageError} When it is anything else.
 * @throws {DisconnectError} When the connection has ended.
 */
export async function receiveToken(connection: Connection): Promise<AuthFrame> {
  const frame = codec.decode(await connection.receiveText());
  assertFrame(frame);
  if (frame.type !== "auth") throw new InvalidMessageError('First frame is not of type "auth"');
  assertToken(frame);
  return frame;
}

/** A place of somebody who has not shown a token yet. */
export interface Place {
  /** Whether the time was up. */
  isLate: boolean;
  /** Gives it away to somebody else, because a good token was shown; calling it again does nothing. */
  leave(): void;
}

/** The places for those who have not shown a token yet. */
export class WaitingRoom {
  /** How long somebody may stay, in milliseconds. */
  readonly timeout: number;
  readonly #places: number;
  #taken = 0;

  /**
   * @throws {TypeError} When the options are none.
   * @throws {RangeError} When a number is not positive.
   */
  constructor(options: FirstMessageOptions = {}) {
    assertOptions("the first message", options);
    const { timeout = 10_000, maxWaiting = 1_000 } = options;
    this.timeout = positive("message.timeout", timeout);
    this.#places = positive("message.maxWaiting", maxWaiting);
  }

  /**
   * Takes a place, until a good token was shown or the request or its connection ends; undefined when all are taken. Who
   * is turned away keeps the place for as long as the socket is there: it costs no less until then.
   */
  enter(request: UpgradeRequest): Place | undefined {
    if (this.#taken >= this.#places) return undefined;
    this.#taken++;
    let isIn = true;
    const leave = (): void => {
      if (isIn) this.#taken--;
      isIn = false;
    };
    request.defer(leave);
    return { isLate: false, leave };
  }
}
