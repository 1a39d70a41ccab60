/** The conformance suite on every runtime: what it says there, case by case, and that nobody's docs hide anything. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { conformanceCases } from "@vel/testing";
import { beforeAll, describe, expect, it } from "vitest";
import { columns } from "./adapters.ts";
import { findColumns, runColumn, type ColumnReport } from "./matrix.ts";

const names = conformanceCases.map(({ name }) => name);

describe.each(findColumns())("$name", (runtime) => {
  let report: ColumnReport;
  beforeAll(async () => {
    report = await runColumn(runtime);
  });

  it.each(names)("%s", (name) => {
    const result = report.results.find((each) => each.name === name);
    expect(result, `the process ended with ${String(report.ended)} before it`).toBeDefined();
    expect(result?.outcome === "failed" ? result.note : "").toBe("");
  });

  it("shows by another case what each explained one leaves open", () => {
    const passed = new Set(report.results.filter(({ outcome }) => outcome === "passed").map(({ name }) => name));
    for (const { name, outcome, note } of report.results) {
      if (outcome === "explained") expect(passed.has(note), `${name}: ${note}`).toBe(true);
    }
  });

  it("runs every case once, and the process ends well", () => {
    expect(report.results.map(({ name }) => name)).toEqual(names);
    expect(report.ended).toBe(0);
  });
});

describe("The conformance suite", () => {
  it("has a column of expectations for each runtime", () => {
    expect(Object.keys(columns)).toEqual(expect.arrayContaining(findColumns().map(({ name }) => name)));
  });

  it("names each case once", () => {
    expect(new Set(names).size).toBe(names.length);
  });

  it("has a row of docs/runtimes.md for each deviation", () => {
    const docs = readFileSync(join(import.meta.dirname, "../../docs/runtimes.md"), "utf8").replace(/\s+/g, " ");
    const reasons = Object.values(columns).flatMap(({ deviations }) => deviations.map(({ reason }) => reason));
    for (const reason of reasons) expect(docs).toContain(reason);
  });
});
