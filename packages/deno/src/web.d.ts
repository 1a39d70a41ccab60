/* eslint-disable no-var -- as globals are declared */
// What Deno and every web type library have, for this package's own compiler run alone.
interface Request {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly signal: AbortSignal;
}
interface Response {
  readonly headers: Headers;
}
declare var Response: { prototype: Response; new (body: string, init: { status: number; headers: Headers }): Response };
