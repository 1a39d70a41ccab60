/**
 * The table runtime x case.
 *
 * @module
 */
import type { ConformanceResult } from "./conformance.ts";

const signs: Readonly<Record<ConformanceResult["outcome"], string>> = {
  passed: "ok",
  failed: "FAIL",
  deviates: "deviates",
  explained: "-",
};

/**
 * Prints results as a Markdown table, a row for each case and a column for each adapter; below it, what deviates and
 * fails, each with its reason, and what shows the cells that are explained.
 *
 * @param columns The adapters' names, with what {@link runTransportConformance} returned for them.
 * @example
 * import { conformanceTable } from "@vel/testing";
 *
 * const results = [{ name: "close: a client that drops is 1006", outcome: "passed", note: "" }] as const;
 * console.log(conformanceTable({ "my adapter": results }));
 */
export function conformanceTable(columns: Readonly<Record<string, readonly ConformanceResult[]>>): string {
  const names = Object.keys(columns);
  const all = Object.values(columns).map((results) => new Map(results.map((result) => [result.name, result])));
  const cases = [...new Set(Object.values(columns).flatMap((results) => results.map(({ name }) => name)))];
  const rows = cases.map((name) => [
    name,
    ...all.map((results) => {
      const result = results.get(name);
      return result ? signs[result.outcome] : "not run";
    }),
  ]);
  const notes = Object.entries(columns).flatMap(([column, results]) =>
    results.filter(({ outcome }) => outcome !== "passed").map((result) => ({ column, ...result })),
  );
  const table = [["", ...names], names.concat("").map(() => "---"), ...rows].map(lineOf).join("\n");
  return [
    table,
    "",
    ...notesOf(notes, "failed", "Failed"),
    ...notesOf(notes, "deviates", "Deviates"),
    ...notesOf(notes, "explained", "Does not apply; what does is shown by"),
  ].join("\n");
}

interface Note extends ConformanceResult {
  readonly column: string;
}

/** Lists notes, those of the same reason once. */
function notesOf(notes: readonly Note[], wanted: ConformanceResult["outcome"], title: string): string[] {
  const groups = new Map<string, Map<string, string[]>>();
  for (const { column, name, outcome, note } of notes) {
    if (outcome !== wanted) continue;
    let cases = groups.get(note);
    if (!cases) groups.set(note, (cases = new Map<string, string[]>()));
    cases.set(name, [...(cases.get(name) ?? []), column]);
  }
  return [...groups].flatMap(([note, cases]) => [
    `${title}: ${note}`,
    ...[...cases].map(([name, columns]) => `  - ${name} (${columns.join(", ")})`),
    "",
  ]);
}

function lineOf(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}
