/**
 * The chat on Bun: `pnpm demo:bun`. `PORT` chooses the port (default 3000), `VEL_CHAT_SECRET` the secret that signs
 * tokens (default: random, so that everybody signs in anew after a restart), `TRUST_PROXY` the proxies whose
 * `X-Forwarded-For` is believed (default: none; `1`, or `loopback, 10.0.0.0/8`), `METRICS_TOKEN` what opens `/metrics` and
 * `/vel/` (default: random, and printed).
 *
 * @module
 */
import { createChat } from "@vel/app-chat";
import { greeting, readOptions, readPort } from "@vel/app-chat/environment";
import { serve } from "@vel/bun";

const options = readOptions();
const chat = createChat(options);
const { port } = await serve(chat.vel, { port: readPort(), fetch: chat.fetch, signals: ["SIGINT", "SIGTERM"] });
console.log(greeting(port, options));
