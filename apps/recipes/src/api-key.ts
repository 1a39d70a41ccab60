/**
 * Programs that have a key: the specification's "API Key Authentication".
 *
 * @module
 */
import { apiKey } from "@vel/auth";
import type { Vel } from "@vel/core";
import type { Parts } from "./parts.ts";

/** Adds `/ws/api-key`, which sends each text back to those whose `X-API-Key` is known. Others are closed with 4003. */
export function keyed(vel: Vel, { keys }: Pick<Parts, "keys">): void {
  const programs = vel.with(apiKey({ keys, refuse: (request) => request.close(4003, "Invalid API key") }));
  programs.websocket("/ws/api-key", async (request) => {
    const connection = await request.accept();
    for await (const message of connection.texts()) connection.send(`Echo: ${message}`);
  });
}
