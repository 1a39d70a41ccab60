/**
 * What the chat gets from the process that it runs in, the same on every runtime: its page, and settings from the
 * environment. A second entry, since it needs `node:*`.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { env } from "node:process";
import type { Page } from "./page.ts";
import type { ChatOptions } from "./settings.ts";

/** Where to listen: `PORT`, by default 3000. */
export function readPort(): number {
  return Number(env["PORT"] ?? 3000);
}

/**
 * Settings for `createChat`: the page, and the secret of `VEL_CHAT_SECRET` that signs tokens. By default that is random,
 * so that everybody signs in anew after a restart.
 */
export function readOptions(): ChatOptions {
  const secret = env["VEL_CHAT_SECRET"];
  return {
    page: readPage(),
    // An empty one is none: what anybody can guess would let everybody in.
    ...(secret && { secret: createHash("sha256").update(secret).digest() }),
  };
}

function readPage(): Page {
  const folder = join(import.meta.dirname, "../page");
  const files = readdirSync(folder).filter((file) => /\.(?:html|css|js|svg)$/.test(file));
  return Object.fromEntries(files.map((file) => [file, readFileSync(join(folder, file), "utf8")]));
}
