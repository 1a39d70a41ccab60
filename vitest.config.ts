import { defineConfig } from "vitest/config";

/** Packages are tested from their sources: no build comes first. */
const source = { resolve: { conditions: ["@vel/source"] }, ssr: { resolve: { conditions: ["@vel/source"] } } };

export default defineConfig({
  test: {
    reporters: ["default"],
    projects: [
      { ...source, test: { name: "unit", include: ["packages/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts"], exclude: ["**/*.browser.test.ts"] } },
      { ...source, test: { name: "repo", include: ["test/**/*.test.ts"] } },
      { ...source, test: { name: "browser", include: ["apps/*/test/**/*.browser.test.ts"] } },
    ],
  },
});
