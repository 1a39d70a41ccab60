/**
 * The chat on Deno: `pnpm demo:deno`. `PORT` chooses the port (default 3000), `VEL_CHAT_SECRET` the secret that signs
 * tokens (default: random, so that everybody signs in anew after a restart).
 *
 * @module
 */
import { createChat } from "@vel/app-chat";
import { readOptions, readPort } from "@vel/app-chat/environment";
import { serve } from "@vel/deno";

const chat = createChat(readOptions());
const { port } = await serve(chat.vel, { port: readPort(), fetch: chat.fetch, signals: ["SIGINT", "SIGTERM"] });
console.log(`Chat on http://localhost:${port}`);
