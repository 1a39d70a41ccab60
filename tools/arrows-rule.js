// @ts-check
/**
 * The ESLint rule that enforces tools/arrows.js.
 *
 * @module
 */
import { dirname, relative, resolve, sep } from "node:path";
import { forbidden } from "./arrows.js";

const root = resolve(import.meta.dirname, "..");

/** @type {import("eslint").Rule.RuleModule} */
export const arrowsRule = {
  meta: { type: "problem", schema: [], messages: { arrow: "{{why}}" } },
  create(context) {
    const file = relative(root, context.filename).split(sep);
    /** @param {any} source The node that says what is imported. */
    const check = (source) => {
      if (!source) return; // `export {}` has none
      const target = textOf(source);
      const why =
        target === undefined ? "Import by a plain string: this one cannot be checked" : reasonAgainst(file, target);
      if (why) context.report({ node: source, messageId: "arrow", data: { why } });
    };
    return {
      ImportDeclaration: (node) => check(node.source),
      ExportNamedDeclaration: (node) => check(node.source),
      ExportAllDeclaration: (node) => check(node.source),
      // Tests and tools may load what a variable names; what is published may not.
      ImportExpression: (node) => {
        if (file[2] === "src" || textOf(node.source) !== undefined) check(node.source);
      },
      "CallExpression[callee.name='require']": (/** @type {any} */ node) => check(node.arguments[0]),
      // import("...").Type
      TSImportType: (/** @type {any} */ node) => check(node.source ?? node.argument?.literal),
      // import x = require("...")
      TSExternalModuleReference: (/** @type {any} */ node) => check(node.expression),
      "TSModuleDeclaration[id.type='Literal']": (/** @type {any} */ node) => check(node.id),
    };
  },
};

/**
 * @param {any} node
 * @returns {string | undefined}
 */
function textOf(node) {
  if (node.type === "Literal" && typeof node.value === "string") return node.value;
  if (node.type === "TemplateLiteral" && node.quasis.length === 1) return node.quasis[0].value.cooked;
  return undefined;
}

/**
 * @param {readonly string[]} file The file that imports, its path from the root in parts.
 * @param {string} target What it imports, as written.
 * @returns {string | undefined}
 */
function reasonAgainst(file, target) {
  const [folder = "", name = "", part] = file;
  const isMember = folder === "packages" || folder === "apps";
  if (/^(\.|\/|file:)/.test(target)) {
    if (!target.startsWith("."))
      return `${target} is a path of one machine: import a package or a file beside this one`;
    const to = relative(root, resolve(root, dirname(file.join(sep)), target)).split(sep);
    const isOwn = isMember ? to[0] === folder && to[1] === name : to[0] !== "packages" && to[0] !== "apps";
    // Helpers of all tests live in tools/: they are no package's business.
    if (isOwn || (part === "test" && to[0] === "tools")) return undefined;
    const from = isMember ? `${folder}/${name}` : folder;
    return `${from} must not reach into ${to.slice(0, 2).join("/")} by a path: import its package`;
  }
  if (folder === "packages") return forbidden(name, part === "test", target);
  const deep = /^(@vel\/(?!app-)[^/]+)\/./.exec(target);
  return deep ? `${target} is no entry: import what you need from "${String(deep[1])}"` : undefined;
}
