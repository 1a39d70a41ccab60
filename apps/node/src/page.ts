/**
 * The chat's page, read from the disk.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "@vel/app-chat";

/** Reads the page's files. */
export function readPage(): Page {
  const folder = dirname(fileURLToPath(import.meta.resolve("@vel/app-chat/page/index.html")));
  const files = readdirSync(folder).filter((file) => /\.(?:html|css|js|svg)$/.test(file));
  return Object.fromEntries(files.map((file) => [file, readFileSync(join(folder, file), "utf8")]));
}
