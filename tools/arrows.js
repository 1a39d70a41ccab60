// @ts-check
/**
 * Who may import whom: the one table behind the arrows of docs/architecture.md. ESLint enforces it, see
 * eslint.config.js; what is not listed is forbidden.
 *
 * @module
 */

/**
 * @typedef {object} Rule
 * @property {readonly string[]} vel What it may import of `@vel/*`.
 * @property {readonly string[]} others What else it may import. `node:` stands for Node's own modules.
 * @property {readonly string[]} [peersOfOthers] What it depends on only because one of the others needs it beside itself.
 * @property {readonly string[]} [testTools] What its tests may import besides, as those of no other package may.
 */

/** Features know core, and neither each other nor any runtime. */
const feature = { vel: ["core"], others: [] };

/** @type {Readonly<Record<string, Rule>>} */
export const arrows = {
  core: { vel: [], others: ["nanoid", "regexparam", "ipaddr.js"] },
  client: { vel: [], others: [] },

  rooms: feature,
  channels: feature,
  heartbeat: feature,
  pool: feature,
  // The SDK is for its tests alone: it reads what is exported as an application's would.
  metrics: { vel: ["core"], others: ["prom-client", "@opentelemetry/api"], testTools: ["@opentelemetry/sdk-metrics"] },
  auth: { vel: ["core"], others: ["jose"] },

  node: { vel: ["core"], others: ["node:", "ws", "@hono/node-server"], peersOfOthers: ["hono"] },
  bun: { vel: ["core"], others: ["node:", "bun"] },
  deno: { vel: ["core"], others: ["node:"] },
  crossws: { vel: ["core"], others: ["crossws"] },
  redis: { vel: ["core"], others: [] },

  // The one that may open real sockets although it is no adapter: it tests those.
  testing: { vel: ["core"], others: ["node:"] },
};

/** What every package's tests may import besides: test tools, and real peers to talk to. */
const testing = ["core", "testing"];
const testTools = ["node:", "vitest", "fast-check", "zod", "ws", "hono"];

/**
 * Says why a file must not import something; undefined when it may.
 *
 * @param {string} name The package that the file is in.
 * @param {boolean} isTest Whether the file is one of the package's tests.
 * @param {string} target What it imports, as written.
 * @returns {string | undefined}
 */
export function forbidden(name, isTest, target) {
  const rule = arrows[name];
  if (!rule) return `Package "${name}" is not in tools/arrows.js: say there what it may import`;
  const isSibling = target.startsWith("@vel/");
  const [, sibling = "", ...deep] = isSibling ? target.split("/") : [];
  if (deep.length > 0) return `@vel/${sibling} has one entry: import what you need from "@vel/${sibling}"`;
  const siblings = isTest ? [...rule.vel, ...testing, name] : rule.vel;
  const others = isTest ? [...rule.others, ...testTools, ...(rule.testTools ?? [])] : rule.others;
  if (isSibling ? siblings.includes(sibling) : others.some((other) => matches(target, other))) return undefined;
  const may = [...new Set(siblings.map((each) => `@vel/${each}`)), ...others].join(", ") || "nothing";
  return `${name} -> ${target} is not a legal arrow. It may import ${may}; see tools/arrows.js`;
}

/**
 * @param {string} target
 * @param {string} other
 */
function matches(target, other) {
  return other.endsWith(":") ? target.startsWith(other) : target === other || target.startsWith(`${other}/`);
}
