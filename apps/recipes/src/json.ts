/**
 * JSON in both directions: the specification's "JSON Message Handling".
 *
 * @module
 */
import { InvalidMessageError, type Vel } from "@vel/core";

/** Adds `/ws/json`, which takes `{ message? }` and says when it came. Anything else closes with 1007. */
export function json(vel: Vel): void {
  vel.websocket("/ws/json", async (request) => {
    const connection = await request.accept();
    for await (const data of connection.jsons()) {
      connection.sendJson({
        type: "response",
        message: `Received: ${messageOf(data)}`,
        timestamp: new Date().toISOString(),
      });
    }
    console.log("JSON WebSocket disconnected");
  });
}

/** What a client sends is anything until it was looked at. `connection.jsons(schema)` does so with a schema library. */
function messageOf(data: unknown): string {
  if (typeof data !== "object" || data === null || Array.isArray(data))
    throw new InvalidMessageError("Message is not an object");
  const { message = "" } = data as { message?: unknown };
  if (typeof message !== "string") throw new InvalidMessageError('Property "message" is not a string');
  return message;
}
