/**
 * The errors of this package.
 *
 * @module
 */
import { VelError } from "@vel/core";

/**
 * What a `VelError` of this package has as its `code`.
 *
 * - `ERR_VEL_KEYS`: there is no key to check a token with, because none could be had; says nothing of the token.
 *   `retryAfter` says when it is worth to try again, if it is.
 * - `ERR_VEL_TOKEN`: a token is not valid.
 */
export type AuthErrorCode = "ERR_VEL_KEYS" | "ERR_VEL_TOKEN";

/**
 * Says that a token is not valid. One text for all causes, and no `cause`: whoever sees it, a client or a log, learns
 * nothing of what was wrong or of the token.
 */
export function tokenError(): VelError<AuthErrorCode> {
  return new VelError<AuthErrorCode>("ERR_VEL_TOKEN", "Token is not valid");
}

/** Says that no token can be checked now. Why is for `onError`, not for who shows a token. */
export function keysError(retryAfter?: number): VelError<AuthErrorCode> {
  const options = retryAfter === undefined ? {} : { retryAfter };
  return new VelError<AuthErrorCode>("ERR_VEL_KEYS", "Keys are not available", options);
}
