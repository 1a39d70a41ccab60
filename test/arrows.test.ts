/**
 * The arrows between packages, enforced by the configuration that `pnpm check` runs with.
 *
 * Each case is a fixture that nobody writes to disk: its text is linted as if it stood in that file. Only the rule of
 * the arrows runs, without type information, so that all cases together take a second.
 */
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { ESLint } from "eslint";
import tseslint from "typescript-eslint";
import { describe, expect, test } from "vitest";
import { arrows, forbidden } from "../tools/arrows.js";

const root = resolve(import.meta.dirname, "..");
const eslint = new ESLint({
  cwd: root,
  overrideConfig: [
    tseslint.configs.disableTypeChecked,
    { languageOptions: { parserOptions: { project: false, projectService: false } } },
  ],
  ruleFilter: ({ ruleId }) => ruleId === "vel/arrows",
});

/** What the check says about a file with this text; nothing when it passes. */
async function lint(file: string, text: string): Promise<string[]> {
  const [result] = await eslint.lintText(text, { filePath: resolve(root, file) });
  return (result?.messages ?? []).map(({ message }) => message);
}

const packages = readdirSync(resolve(root, "packages"));
const features = ["rooms", "channels", "heartbeat", "pool", "metrics", "auth"];
const runtimes = ["node", "bun", "deno", "crossws"];
const brokers = ["redis"];
const all = ["core", "client", "testing", ...features, ...runtimes, ...brokers];

/** Every arrow between two packages of the design that is not in its picture. */
const betweenPackages = all.flatMap((from) =>
  all
    .filter((to) => to !== from && !(to === "core" && from !== "client"))
    .map((to) => ({ from, to, what: `@vel/${to}`, file: `packages/${from}/src/fixture.ts` })),
);

const runtimeFree = ["core", "client", ...features];
const toRuntimes = runtimeFree.flatMap((from) =>
  ["node:fs", "node:events", "fs", "ws", "bun", "@hono/node-server"].map((what) => ({
    from,
    what,
    file: `packages/${from}/src/fixture.ts`,
  })),
);

const toStrangers = [
  { from: "core", what: "zod" },
  { from: "core", what: "hono" },
  { from: "core", what: "jose" },
  { from: "rooms", what: "nanoid" },
  { from: "auth", what: "prom-client" },
  { from: "metrics", what: "jose" },
  { from: "client", what: "nanoid" },
  { from: "node", what: "express" },
  { from: "testing", what: "ws" },
  { from: "testing", what: "vitest" },
  { from: "redis", what: "ioredis" },
  { from: "rooms", what: "vitest" },
  { from: "rooms", what: "@vel/app-chat" },
  { from: "core", what: "#internal" },
].map(({ from, what }) => ({ from, what, file: `packages/${from}/src/fixture.ts` }));

const fromTests = [
  { from: "core", what: "@vel/rooms" },
  { from: "core", what: "@vel/node" },
  { from: "rooms", what: "@vel/node" },
  { from: "rooms", what: "@vel/channels" },
  { from: "node", what: "@vel/rooms" },
  { from: "node", what: "@vel/app-chat" },
].map(({ from, what }) => ({ from, what, file: `packages/${from}/test/fixture.test.ts` }));

describe("A forbidden arrow", () => {
  test.each([...betweenPackages, ...toRuntimes, ...toStrangers, ...fromTests])(
    "fails the check: $file -> $what",
    async ({ from, what, file }) => {
      const messages = await lint(file, `import * as it from "${what}";`);
      expect(messages).toHaveLength(1);
      expect(messages[0]).toContain(`${from} -> ${what} is not a legal arrow`);
      expect(messages[0]).toContain("tools/arrows.js");
    },
  );

  test.each([
    ["packages/rooms/src/fixture.ts", "../../core/src/index.ts", "packages/rooms must not reach into packages/core"],
    [
      "packages/rooms/test/fixture.test.ts",
      "../../core/test/kit.ts",
      "packages/rooms must not reach into packages/core",
    ],
    ["packages/rooms/src/fixture.ts", "../../../apps/chat/src/wire.ts", "must not reach into apps/chat"],
    ["packages/core/src/fixture.ts", "../../../tools/arrows.js", "must not reach into tools/arrows.js"],
    ["apps/chat/src/fixture.ts", "../../../packages/core/src/index.ts", "apps/chat must not reach into packages/core"],
    ["apps/node/src/fixture.ts", "../../chat/src/chat.ts", "apps/node must not reach into apps/chat"],
    ["bench/fixture.ts", "../packages/core/src/index.ts", "bench must not reach into packages/core"],
    ["test/fixture.test.ts", "../packages/core/src/index.ts", "test must not reach into packages/core"],
    ["packages/core/src/fixture.ts", "/usr/lib/index.js", "is a path of one machine"],
  ])("by a path fails the check: %s -> %s", async (file, path, message) => {
    expect(await lint(file, `import * as it from "${path}";`)).toEqual([expect.stringContaining(message)]);
  });

  test.each([
    ["packages/rooms/src/fixture.ts", "@vel/core/src/audience.ts"],
    ["packages/rooms/src/fixture.ts", "@vel/core/package.json"],
    ["packages/core/test/fixture.test.ts", "@vel/testing/src/client.ts"],
    ["apps/chat/src/fixture.ts", "@vel/core/src/index.ts"],
    ["soak/fixture.soak.ts", "@vel/core/dist/index.js"],
  ])("into a package's inside fails the check: %s -> %s", async (file, what) => {
    const [, name = ""] = what.split("/");
    expect(await lint(file, `import * as it from "${what}";`)).toEqual([
      expect.stringContaining(`import what you need from "@vel/${name}"`),
    ]);
  });

  test.each([
    `import { it } from "@vel/node";`,
    `import type { it } from "@vel/node";`,
    `import "@vel/node";`,
    `import it = require("@vel/node");`,
    `export { it } from "@vel/node";`,
    `export type { it } from "@vel/node";`,
    `export * from "@vel/node";`,
    `await import("@vel/node");`,
    "await import(`@vel/node`);",
    `require("@vel/node");`,
    `type It = import("@vel/node").It;`,
    `declare module "@vel/node" {}`,
  ])("fails the check however it is written: %s", async (text) => {
    expect(await lint("packages/rooms/src/fixture.ts", text)).toEqual([
      expect.stringContaining("rooms -> @vel/node is not a legal arrow"),
    ]);
  });

  test("fails the check when it cannot be seen what is imported", async () => {
    expect(await lint("packages/rooms/src/fixture.ts", "await import(name);")).toEqual([
      expect.stringContaining("cannot be checked"),
    ]);
  });

  test("fails the check from a package that the table does not know", async () => {
    expect(await lint("packages/unheard/src/fixture.ts", `import "@vel/core";`)).toEqual([
      expect.stringContaining(`Package "unheard" is not in tools/arrows.js`),
    ]);
  });
});

describe("A legal arrow", () => {
  test.each([
    ...all
      .filter((name) => name !== "core" && name !== "client")
      .map((name) => [`packages/${name}/src/fixture.ts`, "@vel/core"]),
    ["packages/core/src/fixture.ts", "nanoid"],
    ["packages/core/src/fixture.ts", "regexparam"],
    ["packages/core/src/fixture.ts", "./server.ts"],
    ["packages/node/src/fixture.ts", "node:http"],
    ["packages/node/src/fixture.ts", "ws"],
    ["packages/node/src/fixture.ts", "@hono/node-server"],
    ["packages/auth/src/fixture.ts", "jose"],
    ["packages/testing/src/fixture.ts", "node:net"],
    ["packages/core/test/fixture.test.ts", "../src/server.ts"],
    ["packages/core/test/fixture.test.ts", "@vel/testing"],
    ["packages/rooms/test/fixture.test.ts", "@vel/testing"],
    ["packages/rooms/test/fixture.test.ts", "@vel/rooms"],
    ["packages/rooms/test/fixture.test.ts", "vitest"],
    ["packages/rooms/test/fixture.test.ts", "fast-check"],
    ["packages/node/test/fixture.test.ts", "../../../tools/find-tool.ts"],
    ["apps/chat/src/fixture.ts", "@vel/rooms"],
    ["apps/chat/src/fixture.ts", "hono"],
    ["apps/node/src/fixture.ts", "@vel/app-chat"],
    ["apps/node/src/fixture.ts", "@vel/app-chat/page/chat.js"],
    ["apps/node/src/fixture.ts", "node:fs"],
    ["test/fixture.test.ts", "@vel/rooms"],
    ["test/fixture.test.ts", "../tools/arrows.js"],
    ["bench/fixture.ts", "@vel/node"],
    ["soak/fixture.soak.ts", "@vel/node"],
  ])("passes the check: %s -> %s", async (file, what) => {
    expect(await lint(file, `import * as it from "${what}";\nexport const local = it;\nexport {};`)).toEqual([]);
  });
});

describe("package.json", () => {
  test.each(packages)("of %s asks for nothing that the package may not import", (name) => {
    const { dependencies = {}, peerDependencies = {} } = JSON.parse(
      readFileSync(resolve(root, "packages", name, "package.json"), "utf8"),
    ) as Record<"dependencies" | "peerDependencies", Record<string, string> | undefined>;
    const asked = Object.keys({ ...dependencies, ...peerDependencies });
    const needed = arrows[name]?.peersOfOthers ?? [];
    expect(
      asked.map((each) => (needed.includes(each) ? undefined : forbidden(name, false, each))).filter(Boolean),
    ).toEqual([]);
  });
});
