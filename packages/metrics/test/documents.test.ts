/**
 * What is made of the table, or written about it, is up to date: the dashboard, the alerts, docs/metrics.md. After a change
 * of the table, `vitest run --project unit packages/metrics -u` makes the dashboard anew.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findTool } from "../../../tools/find-tool.ts";
import { metricTable } from "../src/index.ts";
import { dashboard } from "./dashboard.ts";

const folder = join(import.meta.dirname, "..");
const alerts = join(folder, "alerts");
const promtool = findTool("promtool");
const names = new Set(metricTable.map(({ name }) => name));

/** The names of metrics in a text, those of a histogram's lines as the histogram's. */
function namesIn(text: string): string[] {
  const found = [...new Set(text.match(/\bvel_\w+/g))];
  return found.map((name) => (names.has(name) ? name : name.replace(/_(bucket|sum|count)$/, "")));
}

/** Runs promtool and returns what it printed. */
async function run(args: readonly string[]): Promise<{ ok: boolean; output: string }> {
  return new Promise((resolve) => {
    execFile(promtool!, args, (error, stdout, stderr) => {
      resolve({ ok: error === null, output: stdout + stderr });
    });
  });
}

describe("dashboards/vel.json", () => {
  const made = dashboard() as {
    panels: {
      type: string;
      id: number;
      gridPos: Record<"x" | "y" | "w" | "h", number>;
      targets?: { expr: string }[];
    }[];
  };
  const queries = made.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

  it("is what dashboard() makes", async () => {
    await expect(`${JSON.stringify(made, undefined, 2)}\n`).toMatchFileSnapshot(join(folder, "dashboards/vel.json"));
  });

  it("shows every metric of the table, and no other", () => {
    expect([...new Set(namesIn(queries.join("\n")))].sort()).toEqual([...names].sort());
  });

  it("has no two panels in one place", () => {
    const cells = made.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from(
        { length: w * h },
        (_cell, index) => `${String(x + (index % w))} ${String(y + Math.floor(index / w))}`,
      ),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(new Set(made.panels.map(({ id }) => id)).size).toBe(made.panels.length);
  });

  it.skipIf(promtool === undefined)("asks what Prometheus understands", async () => {
    const rules = queries.map((expr, index) => ({
      record: `panel_${String(index)}`,
      expr: expr.replaceAll("$__rate_interval", "1m"),
    }));
    const temporary = mkdtempSync(join(tmpdir(), "vel-"));
    const file = join(temporary, "rules.yml");
    writeFileSync(file, JSON.stringify({ groups: [{ name: "panels", rules }] })); // YAML takes JSON
    const { ok, output } = await run(["check", "rules", file]);
    rmSync(temporary, { recursive: true });
    expect(ok, output).toBe(true);
    expect(output).toContain(`${String(queries.length)} rules found`);
  });
});

describe("alerts/vel.rules.yml", () => {
  const rules = readFileSync(join(alerts, "vel.rules.yml"), "utf8");
  const tests = readFileSync(join(alerts, "vel.rules.test.yml"), "utf8");

  it("names only metrics of the table, and labels that they have", () => {
    for (const text of [rules, tests]) expect(namesIn(text).filter((name) => !names.has(name))).toEqual([]);
    for (const [, name = "", matchers = ""] of rules.matchAll(/(vel_\w+)\{([^}]*)\}/g)) {
      const { labels } = metricTable.find((metric) => metric.name === name)!;
      for (const [, label] of matchers.matchAll(/(\w+)[!=]/g)) expect(labels).toContain(label);
    }
    for (const [, label = "", series = ""] of rules.matchAll(/by \(job, instance(?:, (\w+))?\) \(\w*\(?(vel_\w+)/g)) {
      if (label !== "") expect(metricTable.find(({ name }) => name === series)?.labels).toContain(label);
    }
  });

  it("has a test that makes it fire for every alert, and one that does not", () => {
    const all = [...rules.matchAll(/alert: (\w+)/g)].map(([, name = ""]) => name);
    expect(all.length).toBeGreaterThan(8);
    for (const name of all) expect(tests.match(new RegExp(`alertname: ${name}\\b`, "g"))).toHaveLength(2);
  });

  it.skipIf(promtool === undefined)("fires when it should, and only then", async () => {
    for (const args of [
      ["check", "rules", join(alerts, "vel.rules.yml")],
      ["test", "rules", join(alerts, "vel.rules.test.yml")],
    ]) {
      const { ok, output } = await run(args);
      expect(ok, output).toBe(true);
    }
  });
});

it("docs/metrics.md has the table", () => {
  const cells = metricTable.map(({ name, kind, unit, help, labels, from }) => [
    `\`${name}\``,
    kind,
    unit,
    labels.map((label) => `\`${label}\``).join(", "),
    help,
    `@vel/${from}`,
  ]);
  const head = ["metric", "kind", "unit", "labels", "what it says", "measured by"];
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  const table = [line(head), line(widths.map((width) => "-".repeat(width))), ...cells.map(line)].join("\n");
  const text = readFileSync(join(folder, "../../docs/metrics.md"), "utf8");
  expect(text.includes(table), `Paste this into docs/metrics.md:\n\n${table}\n`).toBe(true);
});
