/** What is published: every package packed, all installed together in an empty project elsewhere, and used. */
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findSystemNode } from "../tools/find-tool.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..");
const names = readdirSync(join(root, "packages"));
const systemNode = findSystemNode();
const runners = [process.execPath, ...(systemNode === undefined ? [] : [systemNode])];
const versions = { types: "20", typescript: "7.0.2", classic: "6.0.2" };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vel-tarballs-"));
  await run("pnpm", ["run", "build"], { cwd: root });
  await mkdir(join(folder, "packed"));
  const overrides: Record<string, string> = {};
  for (const name of names) {
    await run("pnpm", ["pack", "--pack-destination", join(folder, "packed")], { cwd: join(root, "packages", name) });
    const file = readdirSync(join(folder, "packed")).find((each) => each.startsWith(`vel-${name}-`));
    overrides[`@vel/${name}`] = `file:./packed/${String(file)}`;
  }
  const manifest = {
    name: "consumer",
    private: true,
    type: "module",
    dependencies: { ...overrides, "@types/node": versions.types },
    devDependencies: {
      typescript: `npm:@typescript/typescript6@${versions.classic}`,
      "typescript-7": `npm:typescript@${versions.typescript}`,
    },
    overrides,
  };
  await writeFile(join(folder, "package.json"), JSON.stringify(manifest));
  await run("npm", ["install", "--no-audit", "--no-fund"], { cwd: folder });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the tarballs", () => {
  it.each(names)("@vel/%s comes from its tarball, whole and with nothing else", (name) => {
    const at = (...parts: string[]): string => join(folder, "node_modules", "@vel", name, ...parts);
    const files = readdirSync(at()).sort();
    const more = name === "metrics" ? ["alerts", "dashboards"] : []; // for Prometheus and Grafana
    expect(files).toEqual(["LICENSE", "README.md", "dist", "package.json", "src", ...more].sort());
    expect(existsSync(at("dist", "index.js"))).toBe(true);
    const { dependencies = {} } = JSON.parse(readFileSync(at("package.json"), "utf8")) as {
      dependencies?: Record<string, string>;
    };
    for (const [dependency, range] of Object.entries(dependencies)) {
      // Siblings move together; others' fixes must reach users without a release of ours.
      expect(range, dependency).toMatch(dependency.startsWith("@vel/") ? /^\d+\.\d+\.\d+$/ : /^\^/);
    }
    expect(existsSync(at("node_modules")), "one copy of everything").toBe(false);
  });

  it.each(runners)("are imported and required by %s", async (node) => {
    for (const [file, code] of [
      ["import.mjs", names.map((name) => `console.log(Object.keys(await import("@vel/${name}")).length > 0);`)],
      ["require.cjs", names.map((name) => `console.log(Object.keys(require("@vel/${name}")).length > 0);`)],
    ] as const) {
      await writeFile(join(folder, file), code.join("\n"));
      const { stdout } = await run(node, [file], { cwd: folder });
      expect(stdout.trim().split("\n"), file).toEqual(names.map(() => "true"));
    }
  });

  it.each(runners)("echo and broadcast on %s", async (node) => {
    await writeFile(join(folder, "server.mjs"), server);
    const { stdout } = await run(node, ["server.mjs"], { cwd: folder, timeout: 30_000 });
    expect(stdout.trim().split("\n")).toEqual(['{"said":"hello"}', "closed 1001"]);
  });

  it.each(["tsc", "tsc6"])("type-check under nodenext without skipLibCheck with %s", async (tsc) => {
    await writeFile(join(folder, "consumer.ts"), consumer);
    const options = [
      "--module",
      "nodenext",
      "--strict",
      "--exactOptionalPropertyTypes",
      "--noEmit",
      "--skipLibCheck",
      "false",
    ];
    const lib = ["--target", "es2023", "--lib", "es2023,esnext.disposable", "--types", "node"];
    const args = [join(folder, "node_modules/.bin", tsc), ...options, ...lib, "consumer.ts"];
    const { stdout } = await run(process.execPath, args, { cwd: folder }).catch(
      (error: unknown) => error as { stdout: string },
    );
    expect(stdout).toBe("");
  });
});

const server = `
import { createVel } from "@vel/core";
import { serve } from "@vel/node";
import { RoomManager, Room } from "@vel/rooms";
import { WebSocket } from "ws";
class Echo extends Room { onMessage(user, message) { this.broadcast(message); } }
const vel = createVel();
new RoomManager({ room: Echo }).serve(vel, "/:room", ({ params }) => ({ room: params.room }));
const server = await serve(vel, { hostname: "127.0.0.1", fetch: () => new Response("hello") });
const socket = new WebSocket("ws://127.0.0.1:" + server.port + "/lobby");
socket.on("open", () => socket.send('{"said":"hello"}'));
socket.on("message", (data) => { console.log(String(data)); void server.close(); });
socket.on("close", (code) => console.log("closed", code));
`;

const consumer = `
import { createVel, type Connection } from "@vel/core";
import { adopt, attach, serve, upgradeHandler } from "@vel/node";
import { Room, RoomManager, type Join, type RoomUser } from "@vel/rooms";
import { connect, ManualClock } from "@vel/testing";
import { createServer } from "node:http";

const vel = createVel({ clock: new ManualClock() });
class Chat extends Room<{ name: string }> {
  override onJoin(user: RoomUser<{ name: string }>, { connection }: Join<{ name: string }>): void {
    this.broadcast({ user: user.id, name: connection.data.name });
  }
}
const rooms = new RoomManager({ room: Chat });
const named = vel.with(() => ({ data: { name: "ada" } }));
rooms.serve(named, "/:room", ({ params, data }) => ({ room: params.room, userId: data.name }));
export const server = createServer().on("upgrade", upgradeHandler(vel));
attach(vel, server).detach();
export const all: unknown[] = [adopt, await serve(vel), await connect(vel, "/lobby")];
export function greet(connection: Connection): void { connection.sendJson({ hello: connection.id }); }
`;
