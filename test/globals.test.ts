/** Core and the features compile against what all runtimes share: a runtime's own global does not even type-check. */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..");
const tsc = join(root, "node_modules/.bin/tsc");

/** The packages that must know no runtime: those that are no adapter, and not the kit that tests those. */
const neutral = readdirSync(join(root, "packages")).filter(
  (name) => !["node", "bun", "deno", "crossws", "testing"].includes(name),
);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(root, "node_modules", ".globals-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Compiles one line as if it were a source of a package; the compiler's complaints. */
async function complaints(name: string, code: string): Promise<string> {
  const project = join(folder, `${name}.json`);
  await writeFile(join(folder, `${name}.ts`), `${code}\nexport {};\n`);
  await writeFile(
    project,
    JSON.stringify({
      extends: `../../packages/${name}/tsconfig.json`,
      include: [`${name}.ts`, "../../web-globals.d.ts"],
    }),
  );
  return run(tsc, ["-p", project]).then(
    () => "",
    (error: unknown) => (error as { stdout: string }).stdout,
  );
}

it.each(neutral)("%s has its own compiler run, over the shared globals only", (name) => {
  const { scripts } = JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  expect(scripts["check:types"]).toMatch(/^tsc -p tsconfig\.json( && |$)/); // its page may have one of its own
  const { compilerOptions } = JSON.parse(readFileSync(join(root, "tsconfig.base.json"), "utf8")) as {
    compilerOptions: { types: string[]; lib: string[] };
  };
  expect(compilerOptions).toMatchObject({ types: [], lib: ["es2023", "esnext.disposable"] });
});

it.each(neutral)("%s may not use a global of one runtime", async (name) => {
  const globals = [
    "process",
    "Buffer",
    "document",
    "window",
    "WebSocket",
    "setImmediate",
    "require",
    "Bun",
    "Deno",
    "global",
  ];
  const found = await complaints(name, globals.map((each) => `void ${each};`).join("\n"));
  for (const each of globals) expect(found).toMatch(new RegExp(`Cannot find name '${each}'`));
});

it.each(neutral)("%s may use what all have", async (name) => {
  const code =
    "void [Headers, URL, URLSearchParams, AbortController, TextEncoder, TextDecoder, setTimeout, queueMicrotask];";
  expect(await complaints(name, code)).toBe("");
});
