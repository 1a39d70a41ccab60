import { defineConfig } from "vitest/config";

/** Packages are tested from their sources: no build comes first. */
const fromSource = { resolve: { conditions: ["@vel/source"] }, ssr: { resolve: { conditions: ["@vel/source"] } } };

export default defineConfig({
  test: {
    reporters: ["default", "./tools/count-reporter.ts"],
    projects: [
      {
        ...fromSource,
        test: {
          name: "unit",
          include: ["packages/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts"],
          exclude: ["**/*.browser.test.ts"],
          testTimeout: 20_000, // no test waits for time; a busy machine may make it wait for its turn
        },
      },
      {
        ...fromSource,
        test: {
          name: "repo",
          include: ["test/**/*.test.ts"],
          exclude: ["**/*.browser.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
      {
        ...fromSource,
        test: {
          name: "browser",
          include: ["apps/*/test/**/*.browser.test.ts", "test/**/*.browser.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        ...fromSource,
        test: {
          name: "soak",
          include: process.env["VEL_SOAK"] === "long" ? ["soak/**/*.soak.ts"] : ["soak/*.soak.ts"],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false, // each has the machine for itself, as far as this goes
        },
      },
    ],
  },
});
