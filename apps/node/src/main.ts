/**
 * The chat on Node: `pnpm demo`. `PORT` chooses the port (default 3000), `VEL_CHAT_SECRET` the secret that signs tokens
 * (default: random, so that everybody signs in anew after a restart).
 *
 * @module
 */
import { createHash } from "node:crypto";
import { createChat } from "@vel/app-chat";
import { serve } from "@vel/node";
import { readPage } from "./page.ts";

const secret = process.env["VEL_CHAT_SECRET"];
const chat = createChat({
  page: readPage(),
  // An empty one is none: what anybody can guess would let everybody in.
  ...(secret && { secret: createHash("sha256").update(secret).digest() }),
});
const { port } = await serve(chat.vel, {
  port: Number(process.env["PORT"] ?? 3000),
  fetch: chat.fetch,
  signals: ["SIGINT", "SIGTERM"],
});
console.log(`Chat on http://localhost:${String(port)}`);
