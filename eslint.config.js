// @ts-check
import { defineConfig } from "eslint/config";
import { createTypeScriptImportResolver } from "eslint-import-resolver-typescript";
import { importX } from "eslint-plugin-import-x";
import jsdoc from "eslint-plugin-jsdoc";
import node from "eslint-plugin-n";
import tseslint from "typescript-eslint";
import { arrowsRule } from "./tools/arrows-rule.js";
import { arrows } from "./tools/arrows.js";

/** The sources that know no runtime: of the packages that may not import `node:*`. */
const runtimeFree = Object.entries(arrows)
  .filter(([, { others }]) => !others.includes("node:"))
  .map(([name]) => `packages/${name}/src/**/*.ts`);

// Errors only: what is worth saying is worth mending. Formatting is prettier's alone.
export default defineConfig(
  // Pages are checked by the compiler, with settings of their own: see apps/chat/page/tsconfig.json.
  { ignores: ["**/dist", "**/.turbo", ".snippets-*", "artifacts", "{apps,packages}/*/page", "web-globals.d.ts"] },

  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname } },
    plugins: { "import-x": importX, n: node },
    settings: {
      // Without these, rules that follow imports are silent on .ts files.
      ...importX.flatConfigs.typescript.settings,
      "import-x/resolver-next": [
        createTypeScriptImportResolver({ conditionNames: ["@vel/source", "types", "import", "default"] }),
      ],
    },
    rules: {
      "import-x/no-cycle": "error",
      "import-x/no-duplicates": "error",
      "n/prefer-node-protocol": "error",
      // A reference would let the globals of a library in, past the compiler's settings.
      "@typescript-eslint/triple-slash-reference": ["error", { lib: "never", path: "never", types: "never" }],
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
      // Handlers that do nothing yet, overridable hooks.
      "@typescript-eslint/no-empty-function": "off",
      // `void promise` says that nobody waits, on purpose.
      "@typescript-eslint/no-meaningless-void-operator": "off",
      "@typescript-eslint/no-confusing-void-expression": [
        "error",
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // Interfaces use method syntax on purpose (parameters compare as they should); what is handed around uses no `this`.
      "@typescript-eslint/unbound-method": "off",
      // A class behind an interface is found again by a cast, at the one seam where it went out.
      "@typescript-eslint/no-unsafe-class-instance-assignment": "off",
      // What a promise rejects with is whatever user code threw.
      "@typescript-eslint/prefer-promise-reject-errors": "off",
      // A literal number in a template reads well enough.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-unused-vars": [
        "error",
        { argsIgnorePattern: "^_", varsIgnorePattern: "^_", caughtErrorsIgnorePattern: "^_" },
      ],
    },
  },

  // Every file, tools included: who may import whom.
  {
    files: ["{packages,apps,bench,soak,test,tools}/**/*.{ts,js}"],
    plugins: { vel: { rules: { arrows: arrowsRule } } },
    rules: { "vel/arrows": "error" },
  },

  // What is used is declared, so that a package works installed alone.
  {
    files: ["{packages,apps}/*/src/**/*.ts"],
    rules: { "import-x/no-extraneous-dependencies": ["error", { devDependencies: false, includeTypes: true }] },
  },

  // No sniffing around for a runtime. Its globals by name do not compile there, see web-globals.d.ts.
  {
    files: runtimeFree,
    rules: {
      "no-restricted-globals": [
        "error",
        { name: "globalThis", message: "Name the global; web-globals.d.ts lists all" },
      ],
    },
  },

  // What users see is documented.
  {
    files: ["packages/*/src/**/*.ts"],
    plugins: { jsdoc },
    rules: {
      "jsdoc/require-jsdoc": [
        "error",
        {
          publicOnly: true,
          enableFixer: false,
          require: { ClassDeclaration: true, FunctionDeclaration: true },
          contexts: [
            "TSInterfaceDeclaration",
            "TSTypeAliasDeclaration",
            "ExportNamedDeclaration > VariableDeclaration",
          ],
        },
      ],
      "jsdoc/require-description": [
        "error",
        { contexts: ["ClassDeclaration", "FunctionDeclaration", "TSInterfaceDeclaration"] },
      ],
      "jsdoc/check-tag-names": ["error", { definedTags: ["module"] }],
      "jsdoc/check-param-names": ["error", { checkDestructured: false, disableMissingParamChecks: true }],
      "no-restricted-syntax": [
        "error",
        { selector: "TSEnumDeclaration", message: "Use an `as const` object and a union of strings" },
        { selector: "TSParameterProperty", message: "Declare the field and assign it in the constructor" },
        { selector: "ExportDefaultDeclaration", message: "Use named exports" },
      ],
    },
  },

  // Tests hand in what no caller should, and look at what callers do not.
  {
    files: ["**/test/**/*.ts", "soak/**/*.ts"],
    rules: {
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-call": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-return": "off",
      "@typescript-eslint/no-unnecessary-condition": "off",
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/only-throw-error": "off",
      "@typescript-eslint/no-misused-promises": "off",
      "@typescript-eslint/no-misused-spread": "off",
      "@typescript-eslint/no-generated-empty-object-type": "off",
      "@typescript-eslint/no-invalid-void-type": "off",
      "@typescript-eslint/no-extraneous-class": "off",
    },
  },
);
