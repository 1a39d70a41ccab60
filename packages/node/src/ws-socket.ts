/**
 * The part of a `ws` socket that is used, so that nobody needs the types of `ws`.
 *
 * @module
 */

/** A server-side socket of the `ws` package, version 8, by its shape. */
export interface WsSocket {
  readonly readyState: number;
  readonly bufferedAmount: number;
  readonly protocol: string;
  readonly extensions: string;
  send(
    data: string | Uint8Array,
    options: { binary: boolean; compress: boolean },
    callback: (error?: Error) => void,
  ): void;
  ping(data?: Uint8Array): void;
  close(code?: number, reason?: string): void;
  terminate(): void;
  pause(): void;
  resume(): void;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as event emitters are typed
  on(event: string, listener: (...args: any[]) => void): unknown;
}
