/**
 * Users who have a token: the specification's "JWT Authentication", by hand and by guard.
 *
 * @module
 */
import { VelError, type Connection, type Vel } from "@vel/core";
import type { Parts } from "./parts.ts";

/**
 * Adds `/ws/authenticated?token=…`, which answers in the user's name and closes with 4001 without a good token; and
 * `/ws/authenticated/guard`, which takes the token from `Authorization: Bearer …` or, from browsers, as
 * `new WebSocket(url, ["bearer", token])`, refuses with 401, and closes with 4401 when the token expires.
 */
export function authenticated(vel: Vel, { jwt }: Pick<Parts, "jwt">): void {
  // By hand: the token is checked once, and a connection outlives it.
  vel.websocket("/ws/authenticated", async (request) => {
    const token = request.query.get("token");
    if (!token) return request.close(4001, "Missing authentication token");
    const claims = await jwt.verify(token).catch(noneIfInvalid);
    if (!claims?.sub) return request.close(4001, "Invalid token");
    await answer(await request.accept({ data: { userId: claims.sub } }));
    return undefined;
  });

  // By guard: the same for each route behind it, and the token is watched.
  const members = vel.with(jwt.guard({ from: ["header", "subprotocol"] }));
  members.websocket("/ws/authenticated/guard", async (request) => {
    await answer(await request.accept());
  });
}

async function answer(connection: Connection<{ userId: string }>): Promise<void> {
  const { userId } = connection.data;
  for await (const message of connection.texts()) connection.send(`Authenticated user ${userId}: ${message}`);
  console.log(`Authenticated user ${userId} disconnected`);
}

/** Anything else is not the client's fault: it is reported, and answered with 500. */
function noneIfInvalid(error: unknown): undefined {
  if (!(error instanceof VelError && error.code === "ERR_VEL_TOKEN")) throw error;
}
