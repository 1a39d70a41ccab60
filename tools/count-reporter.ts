/**
 * A vitest reporter that says how many tests passed, failed and were skipped: as its last line, and as a line of the
 * file that `VEL_COUNTS` names, for whoever adds up several runs.
 *
 * @module
 */
import { appendFileSync } from "node:fs";
import type { Reporter, TestModule } from "vitest/node";

/** See the module's description. */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const counts = { passed: 0, failed: errors.length, skipped: 0 };
    for (const module of modules) {
      // A file that could not even be loaded has no tests to count; those of a suite whose hook failed count as skipped.
      for (const each of [module, ...module.children.allSuites()]) if (each.errors().length > 0) counts.failed++;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === "pending") counts.failed++;
        else counts[state]++;
      }
    }
    const line = `${String(counts.passed)} passed, ${String(counts.failed)} failed, ${String(counts.skipped)} skipped`;
    console.log(`tests: ${line}`);
    const file = process.env["VEL_COUNTS"];
    if (file !== undefined) appendFileSync(file, `${line}\n`);
  }
}
