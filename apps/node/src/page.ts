/**
 * The chat's page, read from the disk.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { pageFiles, type Page } from "@vel/app-chat";

/** Reads the page's files. */
export function readPage(): Page {
  const read = (file: string): string =>
    readFileSync(fileURLToPath(import.meta.resolve(`@vel/app-chat/page/${file}`)), "utf8");
  return Object.fromEntries(Object.entries(pageFiles).map(([path, file]) => [path, read(file)]));
}
