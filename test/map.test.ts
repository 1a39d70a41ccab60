/** docs/velithon.md says where each name of the specification is, and which test shows it: all of that must exist. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "..");
const read = (file: string): string => readFileSync(join(root, file), "utf8");

interface Row {
  readonly name: string;
  readonly here: string;
  readonly exported: string;
  readonly shown: string;
}

const rows: Row[] = read("docs/velithon.md")
  .split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| ---") && !line.startsWith("| specification"))
  .map((line) => {
    const [, name = "", here = "", exported = "", shown = ""] = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    return { name, here, exported, shown };
  });

/** What a package's entry exports, types included. */
function exportsOf(name: string): string {
  return read(`packages/${name}/src/index.ts`);
}

it("has a row for every name", () => {
  // The names in the specification's code, and the headings that name a feature.
  const names = read("test/specification/names.txt").trim().split("\n");
  const text = rows.map(({ name }) => name).join("\n");
  for (const name of names) expect(text, name).toContain(name);
  expect(rows.length).toBeGreaterThan(60);
});

it.each(rows.map((row) => [row.name, row] as const))(
  "%s is there, or says that it is open, or why it is not",
  (_name, row) => {
    if (/^(open|no counterpart, because)\b/.test(row.here)) {
      expect([row.exported, row.shown]).toEqual(["", ""]);
      const [, name] = /^open: `@vel\/(\w+)`/.exec(row.here) ?? [];
      // What is open must not have been built meanwhile without anybody saying so here.
      if (name !== undefined) expect(readdirSync(join(root, "packages"))).not.toContain(name);
      return;
    }
    const [, name = "", symbol = ""] = /^`@vel\/(\w+)` `(\w+)`$/.exec(row.exported) ?? [];
    if (row.exported !== "") expect(exportsOf(name)).toMatch(new RegExp(`\\b${symbol}\\b`));
    else expect(row.here).toContain("apps/chat");
    const [, file = "", title = ""] = /^`([^`]+)` "(.+)"$/.exec(row.shown) ?? [];
    expect(existsSync(join(root, file)), row.shown).toBe(true);
    expect(read(file)).toContain(title);
  },
);
