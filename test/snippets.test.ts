/**
 * What the documentation shows is true: every `ts` block of the READMEs and guides, and every `@example` of what is
 * exported, is extracted and type-checked as strictly as the sources, and every one that says where its names come from
 * is run as it stands.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "..");

interface Snippet {
  /** Where it stands: file and line. */
  readonly where: string;
  readonly text: string;
  /** Whether it says itself where its names come from, so that it runs as pasted. */
  readonly isWhole: boolean;
}

const packages = readdirSync(resolve(root, "packages"));
const guides = [
  ...["README.md", "CONTRIBUTING.md", ...packages.map((name) => `packages/${name}/README.md`)],
  ...filesIn("docs", ".md"),
].filter((file) => existsSync(resolve(root, file)));
const sources = packages.flatMap((name) => filesIn(`packages/${name}/src`, ".ts"));
const snippets: readonly Snippet[] = [...guides.flatMap(blocksOf), ...sources.flatMap(examplesOf)];
const fileOf = ({ where }: Snippet): string => `${where.replaceAll(/[^\w]+/g, "-")}.ts`;

/** In the repository, so that names of packages resolve as they do in the sources. */
let folder = "";
const faults = new Map<string, string[]>();
beforeAll(async () => {
  folder = mkdtempSync(resolve(root, ".snippets-"));
  for (const snippet of snippets) writeFileSync(resolve(folder, fileOf(snippet)), snippet.text);
  writeFileSync(
    resolve(folder, "tsconfig.json"),
    JSON.stringify({ extends: "../tsconfig.base.json", compilerOptions: { types: ["node"] }, include: ["*.ts"] }),
  );
  const tsc = resolve(root, "node_modules/typescript-7/bin/tsc");
  const { code, output } = await run([tsc, "-p", folder, "--pretty", "false"], folder);
  for (const line of output.split("\n")) {
    const file = line.slice(0, Math.max(line.indexOf("("), 0));
    faults.set(file, [...(faults.get(file) ?? []), line]);
  }
  if (code !== 0 && !snippets.some((snippet) => faults.has(fileOf(snippet)))) throw new Error(output);
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

test("the documentation has snippets", () => {
  expect(guides).toContain("README.md");
  expect(snippets.filter(({ isWhole }) => isWhole).length).toBeGreaterThan(5);
});

describe.concurrent("The snippet at", () => {
  for (const snippet of snippets) {
    const { where, isWhole } = snippet;
    test(`${where} type-checks${isWhole ? " and runs" : ""}`, async ({ expect }) => {
      expect(faults.get(fileOf(snippet)) ?? []).toEqual([]);
      if (!isWhole) return;
      const runner = resolve(root, "test/fixtures/run-snippet.ts");
      const { code, output } = await run(
        ["--conditions=@vel/source", runner, resolve(folder, fileOf(snippet))],
        folder,
      );
      expect(`${String(code)} ${code === 0 ? "" : output}`).toBe("0 ");
    });
  }
});

test("README.md has the two commands for a fresh machine", () => {
  const { packageManager } = JSON.parse(readFileSync(resolve(root, "package.json"), "utf8")) as {
    packageManager: string;
  };
  const readme = readFileSync(resolve(root, "README.md"), "utf8");
  expect(readme).toContain(`npx -y ${packageManager} demo`);
  expect(readme).toContain(`npx -y ${packageManager} test`);
  expect(readme.match(/pnpm@[\d.]+/g)?.filter((each) => each !== packageManager)).toEqual([]);
});

/** The files of a folder and those below it, as paths from the root. */
function filesIn(path: string, ending: string): string[] {
  const names = readdirSync(resolve(root, path), { recursive: true, encoding: "utf8" }).sort();
  return names.filter((name) => name.endsWith(ending)).map((name) => `${path}/${name}`);
}

/** The blocks of a Markdown file that are TypeScript. */
function blocksOf(file: string): Snippet[] {
  const text = readFileSync(resolve(root, file), "utf8");
  return [...text.matchAll(/^```ts\b[^\n]*\n(.*?)^```$/gms)].map(({ index, 1: block = "" }) => ({
    where: `${file}:${String(lineAt(text, index) + 1)}`,
    text: block,
    isWhole: true,
  }));
}

/** The `@example`s of a source file. */
function examplesOf(file: string): Snippet[] {
  const text = readFileSync(resolve(root, file), "utf8");
  const [, name = ""] = file.split("/");
  return [...text.matchAll(/^ *\* @example\n(.*?)(?=^ *\* @|^ *\*\/)/gms)].map(({ index, 1: block = "" }) => {
    const example = block.replaceAll(/^ *\* ?/gm, "");
    const isWhole = /^import /m.test(example);
    return {
      where: `${file}:${String(lineAt(text, index) + 1)}`,
      text: isWhole ? example : `${prelude(name, example)}\n${example}`,
      isWhole,
    };
  });
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

/**
 * What an example that shows a line or two takes for granted: the exports of its package and of core, and the usual
 * names for what stands around.
 */
function prelude(name: string, example: string): string {
  const around: Readonly<Record<string, string>> = {
    vel: `declare const vel: import("@vel/core").Vel;`,
    connection: `declare const connection: import("@vel/core").Connection;`,
    request: `declare const request: import("@vel/core").PendingRequest;`,
    rooms: `declare const rooms: import("@vel/rooms").RoomManager;`,
    ChatRoom: `class ChatRoom extends (await import("@vel/rooms")).Room {}`,
    client: `declare const client: import("@vel/testing").TestClient;`,
    payload: `declare const payload: string;`,
    expect: `import { expect } from "vitest";`,
    z: `import { z } from "zod";`,
  };
  const isTaken = (each: string): boolean =>
    new RegExp(`\\b${each}\\b`).test(example) && !new RegExp(`\\b(const|let|class|function) ${each}\\b`).test(example);
  return [
    ...[...new Set([name, "core"])].map((each) => {
      const names = exportsOf(each).filter((item) => isTaken(item.replace("type ", "")));
      return `import { ${names.join(", ")} } from "@vel/${each}";`;
    }),
    ...Object.entries(around).flatMap(([each, line]) => (isTaken(each) ? [line] : [])),
  ].join("\n");
}

/** What a package exports, as it is written in an import: `type Vel`, `createVel`. */
function exportsOf(name: string): string[] {
  const index = readFileSync(resolve(root, `packages/${name}/src/index.ts`), "utf8");
  return [...index.matchAll(/^export( type)? \{([^}]*)\}/gm)].flatMap(([, type = "", list = ""]) =>
    list
      .split(",")
      .filter((each) => each.trim() !== "")
      .map((each) => `${type} ${each.trim()}`.trim()),
  );
}

/** Runs Node, for half a minute at most. */
function run(args: string[], cwd: string): Promise<{ code: number | string; output: string }> {
  return new Promise((settle) => {
    execFile(process.execPath, args, { cwd, timeout: 30_000, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      settle({ code: error ? (error.code ?? error.signal ?? "?") : 0, output: stdout + stderr });
    });
  });
}
