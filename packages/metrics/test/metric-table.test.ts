/** The table is all there is: what packages measure stands in it, and what stands in it is measured. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createVel, type Capabilities, type Vel } from "@vel/core";
import { connect, settle } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { metricTable } from "../src/index.ts";
import { setup } from "./kit.ts";

const packages = join(import.meta.dirname, "../..");

/** The names of metrics in a package's sources. */
function measuredIn(name: string): ReadonlySet<string> {
  const folder = join(packages, name, "src");
  const files = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }) : [];
  const texts = files
    .filter((file) => file.endsWith(".ts") && file !== "metric-table.ts")
    .map((file) => readFileSync(join(folder, file), "utf8"));
  return new Set(texts.flatMap((text) => [...text.matchAll(/"(vel_\w+)"/g)].map(([, metric = ""]) => metric)));
}

describe("metricTable", () => {
  it("has every metric that a package's sources name", () => {
    const known = new Set(metricTable.map(({ name }) => name));
    for (const name of readdirSync(packages)) {
      expect([...measuredIn(name)].filter((metric) => !known.has(metric))).toEqual([]);
    }
    expect(measuredIn("core").size).toBeGreaterThan(10);
  });

  it.each([...new Set(metricTable.map(({ from }) => from))])("has nothing that @vel/%s does not measure", (name) => {
    const measured = measuredIn(name);
    const said = metricTable.filter(({ from }) => from === name).map((metric) => metric.name);
    // A package that measures nothing is not written yet.
    if (measured.size > 0) expect([...measured].sort()).toEqual(said.toSorted());
  });

  it.each(metricTable.map((metric) => [metric.name, metric] as const))(
    "names %s as Prometheus does",
    (_name, { name, kind, unit, help, labels }) => {
      expect(name).toMatch(/^vel(_[a-z]+)+$/);
      expect(name.endsWith("_total")).toBe(kind === "counter");
      expect(/_(bytes|seconds)(_total)?$/.exec(name)?.[1]).toBe(/^(bytes|seconds)$/.exec(unit)?.[1]);
      expect(unit).toMatch(/^[a-z]+$/);
      expect(help).toMatch(/^[A-Z].*[^.\s]$/);
      for (const label of labels) expect(label).toMatch(/^[a-z]+$/);
    },
  );

  it("has each name once", () => {
    expect(new Set(metricTable.map(({ name }) => name)).size).toBe(metricTable.length);
  });
});

/** Takes sockets that the test makes up. */
const capabilities: Capabilities = {
  ping: false,
  terminate: false,
  compression: false,
  pause: false,
  idleTimeout: false,
  buffered: false,
  maxPayload: undefined,
};

/** A socket that somebody else has accepted, at a path of the client's choice, and that ends with this code. */
function adoptAndClose(vel: Vel, paths: readonly string[], code: (index: number) => number): void {
  const host = vel.bind<number>({ name: "made up", capabilities, send: () => "sent", close: () => undefined });
  for (const [index, path] of paths.entries()) {
    const connection = host.adopt(index, { url: path, remote: undefined, headers: new Headers() });
    host.message(connection, `hello from ${path}`);
    host.close(connection, code(index), "", true);
  }
}

const hostile = [
  "/__proto__",
  "/constructor",
  '/"} 1\n',
  "/\\",
  "/counted",
  "/adopted",
  "/%00",
  "/\u202e",
  "/ws/:room",
  "*",
  "",
];

describe("A client", () => {
  it("adds no label by the path that it chose, the code that it closed with, nor what it said", async () => {
    const { clock, metrics } = setup();
    const vel = createVel({ clock });
    vel.websocket("/ws/:room", {});
    metrics.observe(vel);
    const before = metrics.prometheus();
    expect(before).toBe("");

    const random = Array.from({ length: 2_000 }, (_each, index) => `/room-${String(index)}?user=${String(index)}`);
    adoptAndClose(vel, [...hostile, ...random], (index) => 3_000 + (index % 2_000));
    for (const [index, name] of ["lobby", "attic", "%22%7D%0A"].entries()) {
      const client = await connect(vel, `/ws/${name}?user=ada-${String(index)}`, {
        remote: { address: "203.0.113.7", port: 4_000 + index },
      });
      client.send(`{"user":"ada-${String(index)}"}`);
      client.close(4_000 + index, "ada left");
    }
    for (const path of ["/nowhere", "/ws", "/ws/a/b"]) await expect(connect(vel, path)).rejects.toThrow();
    await settle();
    expect(metrics.snapshot()).toMatchObject({
      totalConnections: 2_014,
      messagesReceived: 2_014,
      activeConnections: 0,
    });

    const labels = new Map<string, Set<string>>();
    for (const { labels: own = {} } of metrics.measure()) {
      for (const [label, value] of Object.entries(own)) labels.set(label, (labels.get(label) ?? new Set()).add(value));
    }
    expect([...labels.get("route")!].sort()).toEqual(["/ws/:room", "adopted"]);
    expect([...labels.get("by")!].sort()).toEqual(["remote"]);
    expect([...labels.get("answer")!]).toEqual(["accepted"]);
    for (const code of labels.get("code")!) expect(code).toMatch(/^(other|1\d{3}|4\d{3})$/);
    expect(labels.get("code")!.size).toBeLessThan(40);
    expect([...labels.keys()].sort()).toEqual(["answer", "by", "code", "route"]);
    const size = metrics.prometheus().length;
    adoptAndClose(
      vel,
      random.map((path) => `${path}&again`),
      (index) => 3_000 + index,
    );
    expect(metrics.prometheus().length).toBeLessThan(size + 200); // longer numbers
    await vel.close();
    expect(clock.pending).toBe(0);
  });
});
