/**
 * Texts, answered one by one: the specification's "Basic WebSocket Endpoint".
 *
 * @module
 */
import type { Vel } from "@vel/core";

/** Adds `/ws`, which sends each text back. Bytes close with 1007. */
export function echo(vel: Vel): void {
  vel.websocket("/ws", async (request) => {
    const connection = await request.accept();
    for await (const message of connection.texts()) connection.send(`Echo: ${message}`);
    console.log("Client disconnected");
  });
}
