// @ts-check
/**
 * Puts the metrics page's files into a module, since the package runs where there is no file system:
 * `node tools/embed-page.js` after a change in `packages/metrics/page`.
 *
 * @module
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const folder = join(import.meta.dirname, "../packages/metrics/page");

/** Where the module is. */
export const target = join(import.meta.dirname, "../packages/metrics/src/page-assets.ts");

/** Writes the text of the module. */
export function embedPage() {
  const files = readdirSync(folder).filter((file) => file !== "tsconfig.json");
  const assets = files.sort().map((file) => `  "${file}": ${literal(readFileSync(join(folder, file), "utf8"))},\n`);
  return `/**
 * The page's files by name. Made of \`packages/metrics/page\` by \`node tools/embed-page.js\`: change those.
 *
 * @module
 */

/** The files. */
export const pageAssets: Readonly<Record<string, string>> = {
${assets.join("")}};
`;
}

/** @param {string} text */
function literal(text) {
  return `\`${text.replaceAll(/[\\`]|\$\{/g, "\\$&")}\``;
}

if (process.argv[1] === import.meta.filename) writeFileSync(target, embedPage());
