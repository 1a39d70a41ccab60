/** docs/security.md names attacks and limits by number: a test of that number must exist for each. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "..");
const guide = readFileSync(join(root, "docs/security.md"), "utf8");

/** Everything that holds titles of tests: the tests, and the cases of the conformance kits. */
const titles = ["packages", "apps", "test"]
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((file) => join(folder, file)),
  )
  .filter((file) => !/node_modules|(^|\/)dist\//.test(file))
  .filter((file) => /\.test\.ts$|\/conformance\/.*\.ts$/.test(file))
  .filter((file) => file !== "test/security.test.ts")
  .map((file) => readFileSync(join(root, file), "utf8"))
  .join("\n");

/** The first cells of the table under a heading. */
function rowsUnder(heading: string): number[] {
  const [, section = ""] = guide.split(`\n## ${heading}\n`);
  const [table = ""] = section.split("\n## ");
  return [...table.matchAll(/^\| +(\d+) +\|/gm)].map(([, row]) => Number(row));
}

/** The numbers of these that no test's title has. */
function untested(word: string, rows: readonly number[]): number[] {
  return rows.filter((row) => !new RegExp(`["\`][^"\`\\n]*\\b${word} ${String(row)}: `).test(titles));
}

it("every attack that others suffered has a test of its row", () => {
  const rows = rowsUnder("Attacks that others suffered");
  expect(rows).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  expect(untested("CVE row", rows)).toEqual([]);
});

it("every limit has a test of its number", () => {
  const rows = rowsUnder("Limits");
  expect(rows.length).toBeGreaterThan(15);
  expect(rows).toEqual(rows.map((_, index) => index + 1));
  expect(untested("Limit", rows)).toEqual([]);
});

it("a row without a test is found", () => {
  expect(untested("CVE row", [1, 21, 99])).toEqual([21, 99]);
});
