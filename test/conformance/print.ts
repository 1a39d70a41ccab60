/** Prints the table: `pnpm conformance [pattern for the names of cases] [pattern for the names of runtimes]`. */
import { conformanceTable } from "@vel/testing";
import { findColumns, runColumn, type ColumnReport } from "./matrix.ts";

const [, , only = "", where = ""] = process.argv;
const reports: Record<string, ColumnReport> = {};
for (const runtime of findColumns().filter(({ name }) => new RegExp(where).test(name))) {
  const report = await runColumn(runtime, only);
  reports[`${runtime.name} ${report.version}`] = report;
  if (report.ended !== 0) console.error(`${runtime.name} ended with ${String(report.ended)}`);
}
const results = Object.entries(reports).map(([name, report]) => [name, report.results] as const);
console.log(conformanceTable(Object.fromEntries(results)));
const hasFailed = Object.values(reports).some(
  ({ ended, results }) => ended !== 0 || results.some(({ outcome }) => outcome === "failed"),
);
process.exitCode = hasFailed ? 1 : 0;
