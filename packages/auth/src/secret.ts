/**
 * Secrets that are compared and kept by their digest.
 *
 * @module
 */
import { base64url } from "jose";

/** A key that was made by {@link generateApiKey}. */
export interface GeneratedApiKey {
  /** What to keep the key under; no secret. */
  readonly id: string;
  /** What its owner gets, and nobody else: `id.secret`. */
  readonly key: string;
  /** What to keep: {@link digestSecret} of the secret. */
  readonly digest: string;
}

/** Makes so many random bytes, in base64url. */
export function randomSecret(bytes: number): string {
  return base64url.encode(crypto.getRandomValues(new Uint8Array(bytes)));
}

/**
 * Makes the digest that a secret is kept and compared by: SHA-256 in base64url, 43 characters.
 *
 * Good for secrets that are random. Passwords that people think of need a slow hash instead.
 *
 * @example
 * const digest = await digestSecret("s3cret");
 */
export async function digestSecret(secret: string): Promise<string> {
  return base64url.encode(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(secret))));
}

/**
 * Compares two digests in the same time wherever they differ. Digests, not the secrets themselves: so the time tells
 * nothing of a length either.
 *
 * @example
 * const isRight = equalSecrets(await digestSecret("a guess"), await digestSecret("s3cret"));
 */
export function equalSecrets(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let index = 0; index < a.length; index++) difference |= a.charCodeAt(index) ^ b.charCodeAt(index);
  return difference === 0;
}

/**
 * Makes an API key: 32 random bytes behind a random id.
 *
 * @example
 * const { id, key, digest } = await generateApiKey();
 * console.log(`Give away ${key}, keep ${digest} under ${id}`);
 */
export async function generateApiKey(): Promise<GeneratedApiKey> {
  const id = randomSecret(12);
  const secret = randomSecret(32);
  return { id, key: `${id}.${secret}`, digest: await digestSecret(secret) };
}
