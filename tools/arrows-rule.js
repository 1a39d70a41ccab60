// @ts-check
/**
 * The ESLint rule that enforces tools/arrows.js.
 *
 * @module
 */
import { relative, resolve, dirname, sep } from "node:path";
import { forbidden } from "./arrows.js";

const root = resolve(import.meta.dirname, "..");

/** @type {import("eslint").Rule.RuleModule} */
export const arrowsRule = {
  meta: { type: "problem", schema: [], messages: { arrow: "{{why}}" } },
  create(context) {
    const [folder, name = "", part] = relative(root, context.filename).split(sep);
    /** @param {import("estree").Node | null | undefined} source */
    const check = (source) => {
      if (source?.type !== "Literal" || typeof source.value !== "string") return;
      const why = reasonAgainst(source.value);
      if (why) context.report({ node: source, messageId: "arrow", data: { why } });
    };
    /** @param {string} target */
    const reasonAgainst = (target) => {
      if (target.startsWith(".")) {
        const to = relative(root, resolve(dirname(context.filename), target)).split(sep);
        if (to[0] === folder && to[1] === name) return undefined;
        return `${folder}/${name} must not reach into ${to.slice(0, 2).join("/")} by a path: import its package`;
      }
      if (folder !== "packages") {
        return /^@vel\/(?!app-)[^/]+\/./.test(target) ? `${target} is no entry of its package` : undefined;
      }
      if (target.startsWith("@vel/app-")) return `${name} -> ${target}: no package knows an app`;
      return forbidden(name, part === "test", target);
    };
    return {
      ImportDeclaration: (node) => check(node.source),
      ExportNamedDeclaration: (node) => check(node.source),
      ExportAllDeclaration: (node) => check(node.source),
      ImportExpression: (node) => check(node.source),
      // import("...").Type
      TSImportType: (/** @type {any} */ node) => check(node.source ?? node.argument?.literal),
    };
  },
};
