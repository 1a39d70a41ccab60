/**
 * A secret that guards what is answered over HTTP.
 *
 * @module
 */
import { digestSecret, equalSecrets } from "@vel/auth";

/**
 * Makes what refuses, with 401, whoever does not send `Authorization: Bearer` and the secret; it gives undefined for those
 * who do.
 *
 * @throws {TypeError} When the secret is not one or more of the characters that can stand there.
 */
export function bearer(secret: string): (request: Request) => Promise<Response | undefined> {
  if (!/^[\w.~+/=-]+$/.test(secret)) throw new TypeError("Secret must be letters, digits and any of -._~+/=");
  return async ({ headers }) => {
    const [, token = ""] = /^Bearer +([\w.~+/=-]+)$/i.exec(headers.get("authorization") ?? "") ?? [];
    if (equalSecrets(await digestSecret(token), await digestSecret(secret))) return undefined;
    return Response.json({ error: "unauthorized" }, { status: 401, headers: { "www-authenticate": "Bearer" } });
  };
}
