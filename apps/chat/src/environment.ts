/**
 * What the chat gets from the process that it runs in, the same on every runtime: its page, and settings from the
 * environment. A second entry, since it needs `node:*`.
 *
 * @module
 */
import { createHash, randomUUID } from "node:crypto";
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
 * Settings for `createChat`: the page; the secret of `VEL_CHAT_SECRET` that signs tokens, by default a random one, so that
 * everybody signs in anew after a restart; the token of `METRICS_TOKEN` that opens the metrics, by default a random one; and the
 * proxies of `TRUST_PROXY`, by default none.
 */
export function readOptions(): ChatOptions {
  const secret = env["VEL_CHAT_SECRET"];
  return {
    page: readPage(),
    // An empty one is none: what anybody can guess would let everybody in.
    ...(secret && { secret: createHash("sha256").update(secret).digest() }),
    metricsToken: env["METRICS_TOKEN"] || randomUUID(),
    trustProxy: readTrust(env["TRUST_PROXY"]?.trim() ?? ""),
  };
}

/** Says where the chat is, and the token of its metrics unless whoever runs it has chosen that. */
export function greeting(port: number, { metricsToken }: ChatOptions): string {
  const address = `http://localhost:${String(port)}`;
  const chat = `Chat on ${address}`;
  return env["METRICS_TOKEN"] ? chat : `${chat}\nMetrics on ${address}/vel/, token ${String(metricsToken)}`;
}

/** `1` is so many proxies, `loopback, 10.0.0.0/8` are those; what is neither, core refuses. */
function readTrust(text: string): NonNullable<ChatOptions["trustProxy"]> {
  if (text === "") return false;
  return /^\d+$/.test(text) ? Number(text) : text.split(",").map((entry) => entry.trim());
}

function readPage(): Page {
  const folder = join(import.meta.dirname, "../page");
  const files = readdirSync(folder).filter((file) => /\.(?:html|css|js|svg)$/.test(file));
  return Object.fromEntries(files.map((file) => [file, readFileSync(join(folder, file), "utf8")]));
}
