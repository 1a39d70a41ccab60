/**
 * The codes of this package's errors.
 *
 * @module
 */

/**
 * What a `VelError` of this package has as its `code`.
 *
 * - `ERR_VEL_POOL_FULL`: the pool takes nobody more now; `retryAfter` says when it looks for room again.
 */
export type PoolErrorCode = "ERR_VEL_POOL_FULL";
