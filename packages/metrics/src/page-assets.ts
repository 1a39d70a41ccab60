/**
 * The page's files by name. Made of `packages/metrics/page` by `node tools/embed-page.js`: change those.
 *
 * @module
 */

/** The files. */
export const pageAssets: Readonly<Record<string, string>> = {
  "connection-dialog.js": `// @ts-check
/** One connection, looked at closely and live; and its end, if the viewer wants it. */

import { byId, element, Rows, setText } from "./elements.js";
import * as format from "./format.js";

/** @typedef {import("../src/page-wire.ts").Command} Command */
/** @typedef {import("../src/page-wire.ts").ConnectionDetails} ConnectionDetails */

/** What is told of it. @type {readonly (readonly [string, (details: ConnectionDetails) => string])[]} */
const facts = [
  ["Route", ({ route }) => route],
  ["From", ({ address, port }) => (address === null ? "–" : port === null ? address : \`\${address}, port \${port}\`)],
  ["State", stateOf],
  ["Open for", ({ age }) => format.age(age)],
  ["Subprotocol", ({ protocol }) => protocol || "none"],
  ["Round trip", ({ roundTrip }) => format.duration(roundTrip)],
  ["Received", (each) => \`\${format.count(each.messagesReceived)} messages, \${format.bytes(each.bytesReceived)}\`],
  ["Sent", (each) => \`\${format.count(each.messagesSent)} messages, \${format.bytes(each.bytesSent)}\`],
  ["Waiting to leave", ({ bufferedBytes }) => format.bytes(bufferedBytes)],
  ["Dropped", ({ messagesDropped }) => \`\${format.plural(messagesDropped, "message")}\`],
  ["Frames received", ({ framesReceived }) => format.count(framesReceived)],
];

/** Shows it. */
export class ConnectionDialog {
  #dialog = byId("connection-dialog", HTMLDialogElement);
  #form = byId("close-form", HTMLFormElement);
  #status = byId("connection-status", HTMLElement);
  #send;
  /** @type {string | undefined} */
  #id;
  #facts = new Rows(
    byId("connection-facts", HTMLElement),
    /** @param {{ name: string, text: string }} fact */ ({ name }) => name,
    (name) => {
      const text = element("dd");
      return {
        element: element("div", {}, [element("dt", { textContent: name }), text]),
        update: (fact) => setText(text, fact.text),
      };
    },
  );

  /** @param {(command: Command) => void} send */
  constructor(send) {
    this.#send = send;
    this.#dialog.addEventListener("close", () => (this.#id = undefined));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#id === undefined) return;
      const code = Number(byId("close-code", HTMLSelectElement).value);
      const reason = byId("close-reason", HTMLInputElement).value;
      this.#send({ type: "close", id: this.#id, code, reason });
    });
  }

  get isOpen() {
    return this.#id !== undefined;
  }

  /** @param {string} id */
  open(id) {
    this.#id = id;
    setText(byId("connection-id", HTMLElement), id);
    this.#facts.show([]);
    this.#form.hidden = false;
    this.say("");
    this.#dialog.showModal();
    this.refresh();
  }

  /** Asks how it is now. */
  refresh() {
    if (this.#id !== undefined) this.#send({ type: "connection", id: this.#id });
  }

  /** @param {string} id @param {ConnectionDetails | null} details */
  show(id, details) {
    if (id !== this.#id) return;
    if (details) {
      this.#facts.show(facts.map(([name, text]) => ({ name, text: text(details) })));
      return;
    }
    // What was known of it stays in sight.
    if (!this.#form.hidden && this.#status.textContent === "") this.say("The connection has ended.");
    if (this.#form.contains(document.activeElement)) this.#dialog.querySelector("button")?.focus();
    this.#form.hidden = true;
  }

  /** @param {string} text */
  say(text) {
    setText(this.#status, text);
  }
}

/** @param {ConnectionDetails} details */
function stateOf({ isOpen, isPaused, isViewer }) {
  if (!isOpen) return "closing";
  if (isPaused) return "open, not read for now";
  return isViewer ? "open, looks at this page" : "open";
}
`,
  "connections.js": `// @ts-check
/** The table of connections, and what is looked for in it. */

import { byId, element, Rows, setText } from "./elements.js";
import * as format from "./format.js";

/** @typedef {import("../src/page-wire.ts").ConnectionRow} ConnectionRow */
/** @typedef {Extract<import("../src/page-wire.ts").ServerMessage, { type: "connections" }>} ConnectionsMessage */

/**
 * The columns beside the first: their class and what they show.
 * @type {readonly (readonly [string, (connection: ConnectionRow) => string])[]}
 */
const columns = [
  ["route", ({ route }) => route],
  ["wide", ({ address }) => address ?? "–"],
  ["number", ({ age }) => format.age(age)],
  ["number wide", ({ messagesReceived }) => format.count(messagesReceived)],
  ["number wide", ({ messagesSent }) => format.count(messagesSent)],
  ["number", ({ bufferedBytes }) => format.bytes(bufferedBytes)],
  ["number wide", ({ roundTrip }) => format.duration(roundTrip)],
];

/** Draws the table. */
export class Connections {
  #filter = byId("filter", HTMLInputElement);
  #count = byId("connections-count", HTMLElement);
  #rows;

  /** @param {{ onOpen: (id: string) => void, onFilter: (text: string) => void }} handlers */
  constructor({ onOpen, onFilter }) {
    this.#filter.addEventListener("input", () => onFilter(this.filter));
    this.#rows = new Rows(
      byId("connections", HTMLElement),
      /** @param {ConnectionRow} row */ ({ id }) => id,
      (id) => makeRow(id, onOpen),
    );
  }

  /** What is looked for. */
  get filter() {
    return this.#filter.value.trim();
  }

  /** Shows what was found; an answer to what is not looked for any more is late. @param {ConnectionsMessage} message */
  show({ filter, matches, list }) {
    if (filter !== this.filter) return;
    this.#rows.show(list);
    const found = filter === "" ? format.count(matches) : \`\${format.plural(matches, "match", "matches")}\`;
    setText(this.#count, list.length < matches ? \`\${found}, the oldest \${format.count(list.length)} shown\` : found);
  }
}

/** @param {string} id @param {(id: string) => void} onOpen */
function makeRow(id, onOpen) {
  const button = element("button", { type: "button", className: "open id", textContent: id });
  button.addEventListener("click", () => onOpen(id));
  const mark = element("span", { className: "mark", textContent: "this page", hidden: true });
  const cells = columns.map(([className]) => element("td", { className }));
  const head = element("th", { scope: "row" }, [element("span", { className: "first" }, [button, mark])]);
  const row = element("tr", {}, [head, ...cells]);
  row.dataset["testid"] = "connection";
  return {
    element: row,
    /** @param {ConnectionRow} connection */
    update(connection) {
      mark.hidden = !connection.isViewer;
      columns.forEach(([, text], index) => {
        const cell = cells[index];
        if (cell) setText(cell, text(connection));
      });
    },
  };
}
`,
  "elements.js": `// @ts-check
/** Finding, making and keeping pieces of the document. Foreign text gets in as \`textContent\` alone. */

/**
 * Finds an element of the page.
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new TypeError(\`The page has no \${type.name} "\${id}"\`);
}

/**
 * Creates an element with properties and children.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Partial<HTMLElementTagNameMap[Tag]>} [properties]
 * @param {readonly (Node | string)[]} [children]
 */
export function element(tag, properties, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Sets a text; one that is unchanged is not touched, nor announced again. @param {Element} target @param {string} text */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * A list whose items stay the same elements while what they show changes: the focus stays where it is.
 * @template T
 */
export class Rows {
  #parent;
  #keyOf;
  #make;
  /** @type {Map<string, { element: HTMLElement, update: (item: T) => void }>} */
  #rows = new Map();

  /**
   * @param {HTMLElement} parent
   * @param {(item: T, index: number) => string} keyOf
   * @param {(key: string) => { element: HTMLElement, update: (item: T) => void }} make
   */
  constructor(parent, keyOf, make) {
    this.#parent = parent;
    this.#keyOf = keyOf;
    this.#make = make;
  }

  /** Shows these, in this order. @param {readonly T[]} items */
  show(items) {
    const focused = document.activeElement;
    const keyed = items.map((item, index) => ({ item, key: this.#keyOf(item, index) }));
    const keys = new Set(keyed.map(({ key }) => key));
    for (const [key, row] of this.#rows) {
      if (keys.has(key)) continue;
      row.element.remove();
      this.#rows.delete(key);
    }
    let next = this.#parent.firstElementChild;
    for (const { item, key } of keyed) {
      let row = this.#rows.get(key);
      if (!row) this.#rows.set(key, (row = this.#make(key)));
      row.update(item);
      if (row.element === next) next = next.nextElementSibling;
      else this.#parent.insertBefore(row.element, next);
    }
    // To move an element takes the focus away from it.
    if (focused instanceof HTMLElement && focused !== document.activeElement && this.#parent.contains(focused)) {
      focused.focus({ preventScroll: true });
    }
  }
}
`,
  "format.js": `// @ts-check
/** Numbers as people read them. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const units = ["B", "KiB", "MiB", "GiB", "TiB"];

/** What stands for a number that nobody knows. */
const unknown = "–";

/** @param {number | null | undefined} value */
export function count(value) {
  return value == null ? unknown : whole.format(value);
}

/** How often in a second. @param {number | null | undefined} value */
export function rate(value) {
  return value == null ? unknown : \`\${(value < 10 ? tenths : whole).format(value)}/s\`;
}

/** @param {number | null | undefined} value */
export function bytes(value) {
  if (value == null) return unknown;
  const power = Math.min(Math.max(Math.floor(Math.log2(Math.max(value, 1)) / 10), 0), units.length - 1);
  const scaled = value / 1024 ** power;
  return \`\${(scaled < 10 && power > 0 ? tenths : whole).format(scaled)} \${units[power]}\`;
}

/** A time span. @param {number | null | undefined} milliseconds */
export function duration(milliseconds) {
  if (milliseconds == null) return unknown;
  if (milliseconds < 1_000) return \`\${(milliseconds < 10 ? tenths : whole).format(milliseconds)} ms\`;
  const seconds = Math.floor(milliseconds / 1_000);
  if (seconds < 60) return \`\${seconds} s\`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return \`\${minutes} min \${seconds % 60} s\`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return \`\${hours} h \${minutes % 60} min\`;
  return \`\${Math.floor(hours / 24)} d \${hours % 24} h\`;
}

/** How long something is there, in whole seconds. @param {number} milliseconds */
export function age(milliseconds) {
  return milliseconds < 1_000 ? "0 s" : duration(milliseconds);
}

/** @param {number} number @param {string} one @param {string} [many] */
export function plural(number, one, many = \`\${one}s\`) {
  return \`\${count(number)} \${number === 1 ? one : many}\`;
}

/** The names of close codes, for those that have one. @type {Readonly<Record<string, string>>} */
export const closeNames = {
  1000: "normal",
  1001: "going away",
  1002: "protocol error",
  1003: "unsupported data",
  1005: "no code",
  1006: "dropped",
  1007: "invalid message",
  1008: "policy violation",
  1009: "message too big",
  1010: "missing extension",
  1011: "internal error",
  1012: "service restart",
  1013: "try again later",
  1014: "bad gateway",
  1015: "TLS failure",
  4001: "not authenticated",
  4002: "refused",
  4003: "not allowed",
  4400: "bad request",
  4401: "token expired",
  4403: "forbidden",
  4404: "not found",
  4408: "timeout",
  4425: "too early",
  4429: "too many messages",
  4500: "kicked",
  4501: "banned",
};
`,
  "icon.svg": `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">
  <rect width="64" height="64" rx="16" fill="#0f766e" />
  <path d="M34 11v33h18C51 30 44 18 34 11Z" fill="#fff" />
  <path d="M29 20v24H14c1-9 6-18 15-24Z" fill="#99e6da" />
  <path d="M13 50h38" stroke="#fff" stroke-width="4" stroke-linecap="round" />
</svg>
`,
  "index.html": `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover" />
    <meta name="color-scheme" content="light dark" />
    <meta name="theme-color" media="(prefers-color-scheme: light)" content="#f4f3ef" />
    <meta name="theme-color" media="(prefers-color-scheme: dark)" content="#121416" />
    <meta name="robots" content="noindex" />
    <title>Vel metrics</title>
    <link rel="icon" href="icon.svg" type="image/svg+xml" />
    <link rel="stylesheet" href="page.css" />
    <script type="module" src="page.js"></script>
  </head>
  <body>
    <noscript><p class="noscript">This page needs JavaScript.</p></noscript>

    <main id="sign-in" class="sign-in" hidden>
      <!-- The field has no name: a form that is sent all the same, without the script, sends nothing. -->
      <form id="sign-in-form" class="card" method="post" novalidate>
        <img class="logo" src="icon.svg" alt="" width="56" height="56" />
        <h1>Vel metrics</h1>
        <p class="lead">How this server does, while it runs.</p>
        <label for="token">Token</label>
        <input
          id="token"
          data-testid="token"
          type="password"
          autocomplete="current-password"
          spellcheck="false"
          enterkeyhint="go"
          aria-describedby="sign-in-error"
        />
        <p id="sign-in-error" class="error" data-testid="sign-in-error" aria-live="assertive"></p>
        <button id="sign-in-submit" class="primary" data-testid="sign-in-submit" type="submit">Open</button>
        <p class="fine-print">Kept in this tab until it is closed.</p>
      </form>
    </main>

    <div id="app" class="app" hidden>
      <header class="bar">
        <img class="logo" src="icon.svg" alt="" width="28" height="28" />
        <h1 id="heading" tabindex="-1">Vel metrics</h1>
        <p class="status" id="status" data-testid="status" data-state="connecting" role="status"></p>
        <button id="reconnect" class="quiet" data-testid="reconnect" type="button" hidden>Try now</button>
        <button id="sign-out" class="quiet" data-testid="sign-out" type="button">Sign out</button>
      </header>

      <main id="live" class="live">
        <section aria-labelledby="now-heading">
          <h2 id="now-heading" class="visually-hidden">Now</h2>
          <dl id="tiles" class="tiles" data-testid="tiles"></dl>
        </section>

        <section aria-labelledby="charts-heading">
          <h2 id="charts-heading" class="visually-hidden">The last minutes</h2>
          <div id="charts" class="charts" data-testid="charts"></div>
        </section>

        <div class="columns">
          <section class="panel" aria-labelledby="connections-heading">
            <div class="panel-head">
              <h2 id="connections-heading">Connections</h2>
              <p id="connections-count" class="hint" data-testid="connections-count"></p>
              <label class="visually-hidden" for="filter">Filter by id, route or address</label>
              <input
                id="filter"
                data-testid="filter"
                type="search"
                maxlength="200"
                autocomplete="off"
                spellcheck="false"
                placeholder="Filter by id, route or address"
              />
            </div>
            <div class="scroller" role="group" aria-label="Table of connections" tabindex="0">
              <table class="connections">
                <thead>
                  <tr>
                    <th scope="col">Connection</th>
                    <th scope="col">Route</th>
                    <th scope="col" class="wide">Address</th>
                    <th scope="col" class="number">Age</th>
                    <th scope="col" class="number wide">Received</th>
                    <th scope="col" class="number wide">Sent</th>
                    <th scope="col" class="number">Waiting</th>
                    <th scope="col" class="number wide">Round trip</th>
                  </tr>
                </thead>
                <tbody id="connections" data-testid="connections"></tbody>
              </table>
            </div>
          </section>

          <div class="side">
            <section class="panel" aria-labelledby="slow-heading">
              <div class="panel-head"><h2 id="slow-heading">Slow consumers</h2></div>
              <p id="slow-empty" class="empty">Nobody makes the server wait.</p>
              <ul id="slow" class="list" data-testid="slow"></ul>
            </section>
            <section id="rooms-panel" class="panel" aria-labelledby="rooms-heading" hidden>
              <div class="panel-head">
                <h2 id="rooms-heading">Rooms</h2>
                <p id="rooms-count" class="hint" data-testid="rooms-count"></p>
              </div>
              <p id="rooms-empty" class="empty">There is no room.</p>
              <div id="rooms-table" class="scroller" role="group" aria-label="Table of rooms" tabindex="0">
                <table class="groups">
                  <thead>
                    <tr>
                      <th scope="col">Room</th>
                      <th scope="col" class="number">Users</th>
                      <th scope="col" class="number">Connections</th>
                    </tr>
                  </thead>
                  <tbody id="rooms" data-testid="rooms"></tbody>
                </table>
              </div>
            </section>
            <section id="channels-panel" class="panel" aria-labelledby="channels-heading" hidden>
              <div class="panel-head">
                <h2 id="channels-heading">Channels</h2>
                <p id="channels-count" class="hint" data-testid="channels-count"></p>
              </div>
              <p id="channels-empty" class="empty">Nobody is subscribed to a channel.</p>
              <div id="channels-table" class="scroller" role="group" aria-label="Table of channels" tabindex="0">
                <table class="groups">
                  <thead>
                    <tr>
                      <th scope="col">Channel</th>
                      <th scope="col" class="number">Subscribers</th>
                      <th scope="col" class="number">Messages</th>
                    </tr>
                  </thead>
                  <tbody id="channels" data-testid="channels"></tbody>
                </table>
              </div>
            </section>
            <section class="panel" aria-labelledby="codes-heading">
              <div class="panel-head"><h2 id="codes-heading">Close codes</h2></div>
              <p id="codes-empty" class="empty">No connection has ended yet.</p>
              <ul id="codes" class="list" data-testid="codes"></ul>
            </section>
          </div>
        </div>
      </main>
    </div>

    <dialog id="connection-dialog" data-testid="connection-dialog" aria-labelledby="connection-title">
      <div class="dialog-head">
        <h2 id="connection-title">Connection</h2>
        <button class="quiet" data-testid="connection-dismiss" type="button" data-dismiss>Back</button>
      </div>
      <p id="connection-id" class="id" data-testid="connection-id"></p>
      <dl id="connection-facts" class="facts" data-testid="connection-facts"></dl>
      <form id="close-form" class="actions" method="post" novalidate>
        <div>
          <label for="close-code">Close with</label>
          <select id="close-code" data-testid="close-code">
            <option value="1000">1000 normal: it stays away</option>
            <option value="1001">1001 going away: it comes back</option>
            <option value="1008">1008 policy violation: it stays away</option>
            <option value="1013">1013 try again later: it comes back</option>
          </select>
        </div>
        <div>
          <label for="close-reason">Reason</label>
          <input id="close-reason" data-testid="close-reason" maxlength="123" autocomplete="off" />
        </div>
        <button class="danger" data-testid="close-submit" type="submit">Close connection</button>
      </form>
      <p id="connection-status" class="dialog-status" data-testid="connection-status" role="status"></p>
    </dialog>

    <dialog id="room-dialog" data-testid="room-dialog" aria-labelledby="room-title">
      <div class="dialog-head">
        <h2 id="room-title" dir="auto" data-testid="room-title"></h2>
        <button class="quiet" data-testid="room-dismiss" type="button" data-dismiss>Back</button>
      </div>
      <p id="room-summary" class="hint" data-testid="room-summary"></p>
      <ul id="room-users" class="list" data-testid="room-users"></ul>
      <p id="room-status" class="dialog-status" data-testid="room-status" role="status"></p>
    </dialog>
  </body>
</html>
`,
  "line-chart.js": `// @ts-check
/** Lines over time, as SVG: with a title, a description and a table for who does not see them. */

import { element, setText } from "./elements.js";
import { duration } from "./format.js";

/** @typedef {import("../src/page-wire.ts").Sample} Sample */
/** @typedef {{ name: string, value: (sample: Sample) => number | null }} Series */
/**
 * @typedef {object} ChartOptions
 * @property {string} id
 * @property {string} title
 * @property {readonly Series[]} series two at most
 * @property {(value: number | null | undefined) => string} format
 * @property {boolean} [isBinary] whether the scale goes by powers of two
 */

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 132;
const MARGIN = { top: 8, right: 8, bottom: 20, left: 52 };
const TABLE_ROWS = 10;
/** The shortest time that is shown, in milliseconds: of a server that has just started there is no more to see. */
const SHORTEST = 60_000;

/** One chart, a figure. */
export class LineChart {
  figure = element("figure", { className: "chart" });
  #options;
  #svg = svgElement("svg", { role: "img", height: HEIGHT });
  #description = svgElement("desc");
  #grid = svgElement("g", { class: "grid" });
  #lines = svgElement("g");
  #cursor = svgElement("line", { class: "cursor", y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom });
  /** @type {HTMLElement[]} */
  #values;
  #when = element("span", { className: "when" });
  #table = element("table");
  #details;
  /** What was drawn last. @type {{ samples: readonly Sample[], history: number, interval: number }} */
  #drawn = { samples: [], history: 1, interval: 1 };
  /** Where the pointer is, as a share of the time that is shown. @type {number | undefined} */
  #pointed;

  /** @param {ChartOptions} options */
  constructor(options) {
    this.#options = options;
    const { id, title, series } = options;
    this.#values = series.map(() => element("b"));
    const legend = series.map(({ name }, index) =>
      element("span", { className: \`key key-\${index}\` }, [name, " ", this.#values[index] ?? ""]),
    );
    const heading = element("h3", { textContent: title });
    const caption = element("figcaption", {}, [heading, element("p", {}, [this.#when, ...legend])]);

    const name = svgElement("title", { id: \`\${id}-title\` });
    name.textContent = title;
    this.#description.id = \`\${id}-description\`;
    this.#svg.setAttribute("aria-labelledby", \`\${id}-title\`);
    this.#svg.setAttribute("aria-describedby", \`\${id}-description\`);
    this.#svg.append(name, this.#description, this.#grid, this.#lines, this.#cursor);

    const summary = element("summary", { textContent: "As a table" });
    summary.append(element("span", { className: "visually-hidden", textContent: \`: \${title}\` }));
    this.#details = element("details", {}, [summary, this.#table]);
    this.#details.addEventListener("toggle", () => this.#draw());
    this.#svg.addEventListener("pointermove", (event) => {
      const { left, width } = this.#svg.getBoundingClientRect();
      const inner = width - MARGIN.left - MARGIN.right;
      this.#pointed = Math.min(Math.max((event.clientX - left - MARGIN.left) / inner, 0), 1);
      this.#draw();
    });
    this.#svg.addEventListener("pointerleave", () => {
      this.#pointed = undefined;
      this.#draw();
    });
    this.figure.append(caption, this.#svg, this.#details);
  }

  /**
   * Draws samples, oldest first.
   * @param {readonly Sample[]} samples
   * @param {{ history: number, interval: number }} times in milliseconds
   */
  draw(samples, { history, interval }) {
    this.#drawn = { samples, history, interval };
    this.#draw();
  }

  /** How many milliseconds are shown. */
  get #span() {
    const { samples, history } = this.#drawn;
    const known = (samples.at(-1)?.at ?? 0) - (samples[0]?.at ?? 0);
    return Math.min(Math.max(known, SHORTEST), history);
  }

  #draw() {
    const { series, format, isBinary = false } = this.#options;
    const { samples, interval } = this.#drawn;
    const now = samples.at(-1)?.at ?? 0;
    const span = this.#span;
    const width = Math.max(this.#svg.clientWidth, 200);
    this.#svg.setAttribute("viewBox", \`0 0 \${width} \${HEIGHT}\`);
    const values = series.map(({ value }) => samples.map(value));
    const top = niceTop(Math.max(0, ...values.flat().map((value) => value ?? 0)), isBinary);
    /** @param {number} at */
    const x = (at) => MARGIN.left + (1 - (now - at) / span) * (width - MARGIN.left - MARGIN.right);
    /** @param {number} value */
    const y = (value) => HEIGHT - MARGIN.bottom - (value / top) * (HEIGHT - MARGIN.top - MARGIN.bottom);

    this.#drawGrid(width, span, top, y);
    this.#lines.replaceChildren(
      ...values.map((line, index) => {
        const d = pathOf(samples, line, 3 * interval, x, y);
        return svgElement("path", { class: \`line line-\${index}\`, d });
      }),
    );
    this.#legend(samples, now, x);
    const ranges = series.map(({ name }, index) => {
      const known = (values[index] ?? []).filter((value) => value !== null);
      if (known.length === 0) return \`\${name}: nothing yet\`;
      return \`\${name}: \${format(known.at(-1))} now, from \${format(Math.min(...known))} to \${format(Math.max(...known))}\`;
    });
    setText(this.#description, \`\${ranges.join("; ")}, in the last \${duration(span)}.\`);
    if (this.#details.open) this.#drawTable(samples, values, now);
  }

  /** @param {number} width @param {number} span @param {number} top @param {(value: number) => number} y */
  #drawGrid(width, span, top, y) {
    const right = width - MARGIN.right;
    const parts = [0, top / 2, top].flatMap((value) => [
      svgElement("line", { x1: MARGIN.left, x2: right, y1: y(value), y2: y(value) }),
      label(this.#options.format(value), { x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }),
    ]);
    const below = HEIGHT - 4;
    this.#grid.replaceChildren(
      ...parts,
      label(\`\${duration(span).replace(" 0 s", "")} ago\`, { x: MARGIN.left, y: below }),
      label("now", { x: right, y: below, "text-anchor": "end" }),
    );
  }

  /** Says the numbers of now, or of where the pointer is. @param {readonly Sample[]} samples @param {number} now @param {(at: number) => number} x */
  #legend(samples, now, x) {
    const { series, format } = this.#options;
    const wanted = now - (1 - (this.#pointed ?? 1)) * this.#span;
    const shown = samples.findLast(({ at }) => at <= wanted) ?? samples[0];
    this.#cursor.classList.toggle("shown", this.#pointed !== undefined && shown !== undefined);
    if (shown) for (const end of ["x1", "x2"]) this.#cursor.setAttribute(end, String(x(shown.at)));
    setText(this.#when, shown && this.#pointed !== undefined ? ago(now - shown.at) : "");
    series.forEach(({ value }, index) => {
      const target = this.#values[index];
      if (target) setText(target, format(shown && value(shown)));
    });
  }

  /** @param {readonly Sample[]} samples @param {(number | null)[][]} values @param {number} now */
  #drawTable(samples, values, now) {
    const { title, series, format } = this.#options;
    const step = Math.max(1, Math.ceil(samples.length / TABLE_ROWS));
    const heads = ["When", ...series.map(({ name }) => name)].map((text) =>
      element("th", { textContent: text, scope: "col" }),
    );
    const rows = [];
    for (let index = samples.length - 1; index >= 0; index -= step) {
      const at = samples[index]?.at ?? now;
      const cells = values.map((line) => element("td", { textContent: format(line[index]) }));
      rows.push(element("tr", {}, [element("th", { textContent: ago(now - at), scope: "row" }), ...cells]));
    }
    this.#table.replaceChildren(
      element("caption", { className: "visually-hidden", textContent: title }),
      element("thead", {}, [element("tr", {}, heads)]),
      element("tbody", {}, rows),
    );
  }
}

/** @param {number} milliseconds */
function ago(milliseconds) {
  return milliseconds < 500 ? "now" : \`\${duration(Math.round(milliseconds / 1_000) * 1_000)} ago\`;
}

/**
 * Draws a line that is broken where nobody looked, or nothing is known.
 * @param {readonly Sample[]} samples
 * @param {readonly (number | null)[]} values
 * @param {number} longestGap
 * @param {(at: number) => number} x
 * @param {(value: number) => number} y
 */
function pathOf(samples, values, longestGap, x, y) {
  let path = "";
  let last = -Infinity;
  samples.forEach(({ at }, index) => {
    const value = values[index];
    if (value == null) return;
    path += \`\${at - last > longestGap ? "M" : "L"}\${x(at).toFixed(1)} \${y(value).toFixed(1)}\`;
    last = at;
  });
  return path;
}

/** A round number that is not below the largest one shown. @param {number} largest @param {boolean} isBinary */
function niceTop(largest, isBinary) {
  if (isBinary) return Math.max(2 ** Math.ceil(Math.log2(Math.max(largest, 1))), 1024);
  const power = 10 ** Math.floor(Math.log10(Math.max(largest, 1)));
  return ([2, 4, 10].find((step) => step * power >= largest) ?? 10) * power;
}

/**
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Readonly<Record<string, string | number>>} [attributes]
 */
function svgElement(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}

/** @param {string} text @param {Readonly<Record<string, string | number>>} attributes */
function label(text, attributes) {
  const made = svgElement("text", attributes);
  made.textContent = text;
  return made;
}
`,
  "live-connection.js": `// @ts-check
/** The page's own WebSocket: says the token, hears the server, and comes back. Knows nothing of the document. */

/** @typedef {import("../src/page-wire.ts").ServerMessage} ServerMessage */
/** @typedef {import("../src/page-wire.ts").Command} Command */
/** @typedef {Extract<ServerMessage, { type: "welcome" }>} Welcome */
/** @typedef {"connecting" | "online" | "offline"} State */
/**
 * @typedef {object} Handlers
 * @property {(state: State) => void} onState
 * @property {(message: ServerMessage) => void} onMessage
 * @property {(retryAfter: number | null) => void} onRefused the token is not taken; null: because it is wrong
 */

const BACKOFF_BASE = 500;
const BACKOFF_CAP = 10_000;
/** How long a connection may take to be let in, and how long it may say nothing. In milliseconds. */
const PATIENCE = 10_000;

/** Keeps the page connected until it is closed or refused. */
export class LiveConnection {
  #token;
  #handlers;
  /** The one socket that may deliver; a socket that is not this one is stale. @type {WebSocket | undefined} */
  #socket;
  #wasOnline = false;
  #failures = 0;
  #patience = PATIENCE;
  /** @type {Partial<Record<"retry" | "silence", ReturnType<typeof setTimeout>>>} */
  #timers = {};
  #lifetime = new AbortController();

  /**
   * Starts to connect at once.
   * @param {string} token
   * @param {Handlers} handlers
   */
  constructor(token, handlers) {
    this.#token = token;
    this.#handlers = handlers;
    const { signal } = this.#lifetime;
    window.addEventListener("online", () => this.retry(), { signal });
    this.#connect();
  }

  /** Says something if the server listens. @param {Command} command */
  send(command) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(command));
  }

  /** Tries at once, if it waits to. */
  retry() {
    if (this.#timers.retry === undefined) return;
    this.#failures = 0;
    this.#connect();
  }

  close() {
    this.#lifetime.abort();
    this.#release();
  }

  #connect() {
    this.#release();
    this.#handlers.onState("connecting");
    const url = new URL("live", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.search = url.hash = "";
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#listen();
    socket.onopen = () => socket.send(JSON.stringify({ type: "auth", token: this.#token }));
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#receive(JSON.parse(data));
    };
    socket.onclose = () => {
      if (socket === this.#socket) this.#retryLater();
    };
  }

  /** @param {ServerMessage} message */
  #receive(message) {
    if (message.type === "refused") {
      // Guesses from the same network: who was in already comes back by itself.
      if (message.retryAfter !== null && this.#wasOnline) return this.#retryLater(message.retryAfter);
      this.close();
      return this.#handlers.onRefused(message.retryAfter);
    }
    if (message.type === "welcome") {
      this.#wasOnline = true;
      this.#failures = 0;
      this.#patience = Math.max(PATIENCE, 3 * message.interval);
      this.#handlers.onState("online");
    }
    this.#listen();
    this.#handlers.onMessage(message);
  }

  /** Gives the connection up unless something is heard of it for a while. */
  #listen() {
    clearTimeout(this.#timers.silence);
    this.#timers.silence = setTimeout(() => this.#retryLater(), this.#patience);
  }

  /** Waits with exponential backoff and full jitter. @param {number} [least] in milliseconds */
  #retryLater(least = 0) {
    this.#release();
    this.#handlers.onState("offline");
    const delay = least + Math.random() * Math.min(BACKOFF_CAP, BACKOFF_BASE * 2 ** this.#failures);
    this.#failures += 1;
    this.#timers.retry = setTimeout(() => this.#connect(), delay);
  }

  #release() {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#timers = {};
    const socket = this.#socket;
    this.#socket = undefined;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}
`,
  "overview.js": `// @ts-check
/** What is the same for everybody who looks: the numbers of now, the charts, and the short lists. */

import { byId, element, Rows, setText } from "./elements.js";
import * as format from "./format.js";
import { LineChart } from "./line-chart.js";

/** @typedef {import("../src/page-wire.ts").Sample} Sample */
/** @typedef {import("../src/page-wire.ts").ServerMessage} ServerMessage */
/** @typedef {import("../src/page-wire.ts").RoomRow} RoomRow */
/** @typedef {import("../src/page-wire.ts").ChannelRow} ChannelRow */
/** @typedef {Extract<ServerMessage, { type: "snapshot" }>} Snapshot */
/** @typedef {Extract<ServerMessage, { type: "welcome" }>} Welcome */

/**
 * The numbers of now: what each is called, what it is, and what else is to say.
 * @type {readonly { name: string, value: (snapshot: Snapshot) => string, note: (snapshot: Snapshot) => string }[]}
 */
const tiles = [
  {
    name: "Open connections",
    value: ({ sample }) => format.count(sample.connections),
    note: ({ totals }) => \`\${format.count(totals.totalConnections)} ever\`,
  },
  {
    name: "Received",
    value: ({ sample }) => format.rate(sample.receivedPerSecond),
    note: ({ totals }) => format.bytes(totals.bytesReceived),
  },
  {
    name: "Sent",
    value: ({ sample }) => format.rate(sample.sentPerSecond),
    note: ({ totals }) => format.bytes(totals.bytesSent),
  },
  {
    name: "Round trip",
    value: ({ sample, totals }) => format.duration(sample.roundTrip?.median ?? totals.roundTrip?.p50),
    note: ({ sample, totals }) => \`95 % below \${format.duration(sample.roundTrip?.p95 ?? totals.roundTrip?.p95)}\`,
  },
  {
    name: "Waiting to leave",
    value: ({ sample }) => format.bytes(sample.bufferedBytes),
    note: ({ totals }) => format.plural(totals.slowConsumers, "slow consumer"),
  },
  {
    name: "Dropped",
    value: ({ totals }) => format.count(totals.messagesDropped),
    note: ({ sample }) => format.rate(sample.droppedPerSecond),
  },
  {
    name: "Duration",
    value: ({ totals }) => format.duration(totals.averageConnectionDuration),
    note: () => "on average",
  },
];

/** Draws it. */
export class Overview {
  #charts = [
    new LineChart({
      id: "chart-messages",
      title: "Messages",
      series: [
        { name: "received", value: ({ receivedPerSecond }) => receivedPerSecond },
        { name: "sent", value: ({ sentPerSecond }) => sentPerSecond },
      ],
      format: format.rate,
    }),
    new LineChart({
      id: "chart-connections",
      title: "Connections",
      series: [{ name: "open", value: ({ connections }) => connections }],
      format: format.count,
    }),
    new LineChart({
      id: "chart-round-trip",
      title: "Round trip",
      series: [
        { name: "median", value: ({ roundTrip }) => roundTrip?.median ?? null },
        { name: "95 %", value: ({ roundTrip }) => roundTrip?.p95 ?? null },
      ],
      format: format.duration,
    }),
    new LineChart({
      id: "chart-waiting",
      title: "Waiting to leave",
      series: [{ name: "bytes", value: ({ bufferedBytes }) => bufferedBytes }],
      format: format.bytes,
      isBinary: true,
    }),
  ];
  #tiles = tiles.map(({ name, value, note }) => {
    const shown = element("dd", { className: "value", textContent: "–" });
    const noted = element("dd", { className: "note" });
    const tile = element("div", {}, [element("dt", { textContent: name }), shown, noted]);
    tile.dataset["testid"] = \`tile-\${name.toLowerCase().replaceAll(" ", "-")}\`;
    return { tile, shown, noted, value, note };
  });
  /** @type {Sample[]} */
  #samples = [];
  #times = { history: 1, interval: 1 };
  #slow;
  #rooms;
  #channels;
  #codes;

  /** @param {{ onConnection: (id: string) => void, onRoom: (name: string) => void }} handlers */
  constructor({ onConnection, onRoom }) {
    byId("tiles", HTMLElement).append(...this.#tiles.map(({ tile }) => tile));
    byId("charts", HTMLElement).append(...this.#charts.map(({ figure }) => figure));
    this.#slow = new Rows(
      byId("slow", HTMLElement),
      /** @param {Snapshot["slowest"][number]} row */ ({ id }) => id,
      (id) => {
        const button = element("button", { type: "button", className: "open id", textContent: id });
        button.addEventListener("click", () => onConnection(id));
        const size = element("span", { className: "figure" });
        return {
          element: element("li", {}, [button, size]),
          update: ({ bufferedBytes }) => setText(size, format.bytes(bufferedBytes)),
        };
      },
    );
    this.#rooms = new Rows(
      byId("rooms", HTMLElement),
      /** @param {RoomRow} room */ ({ name }) => name,
      (name) => {
        const title = element("button", { type: "button", className: "open" }, [element("bdi", { textContent: name })]);
        title.addEventListener("click", () => onRoom(name));
        return groupRow(title, ({ userCount, connectionCount }) => [userCount, connectionCount]);
      },
    );
    this.#channels = new Rows(
      byId("channels", HTMLElement),
      // By place: of long names only the beginning is known, which several may share.
      /** @param {ChannelRow} _channel @param {number} index */ (_channel, index) => String(index),
      () => {
        const title = element("bdi", {});
        const row = groupRow(
          title,
          /** @param {ChannelRow} channel */ ({ subscriberCount, messageCount }) => [subscriberCount, messageCount],
        );
        return {
          element: row.element,
          update(channel) {
            setText(title, channel.name);
            row.update(channel);
          },
        };
      },
    );
    this.#codes = new Rows(
      byId("codes", HTMLElement),
      /** @param {{ code: string, count: number, share: number }} row */ ({ code }) => code,
      (code) => {
        const figure = element("span", { className: "figure" });
        const bar = element("span", { className: "share" });
        bar.setAttribute("aria-hidden", "true");
        const words = element("span", { className: "words" }, [
          element("b", { textContent: code }),
          \` \${format.closeNames[code] ?? ""}\`,
        ]);
        return {
          element: element("li", {}, [words, figure, bar]),
          update: ({ count, share }) => {
            setText(figure, format.count(count));
            bar.style.width = \`\${(share * 100).toFixed(1)}%\`;
          },
        };
      },
    );
  }

  /** Begins anew, with what the server remembers. @param {Welcome} welcome */
  begin({ samples, history, interval }) {
    this.#samples = [...samples];
    this.#times = { history, interval };
    this.#draw();
  }

  /** @param {Snapshot} snapshot */
  show(snapshot) {
    const { sample, totals, slowest, rooms, channels } = snapshot;
    this.#samples = this.#samples.filter(({ at }) => at > sample.at - this.#times.history);
    this.#samples.push(sample);
    this.#draw();
    for (const { shown, noted, value, note } of this.#tiles) {
      setText(shown, value(snapshot));
      setText(noted, note(snapshot));
    }
    this.#slow.show(slowest);
    byId("slow-empty", HTMLElement).hidden = slowest.length > 0;
    showGroups("rooms", rooms, this.#rooms);
    showGroups("channels", channels, this.#channels);
    const codes = Object.entries(totals.closeCodes).sort(([, one], [, other]) => other - one);
    const most = codes[0]?.[1] ?? 1;
    this.#codes.show(codes.map(([code, count]) => ({ code, count, share: count / most })));
    byId("codes-empty", HTMLElement).hidden = codes.length > 0;
  }

  #draw() {
    for (const chart of this.#charts) chart.draw(this.#samples, this.#times);
  }
}

/**
 * Shows how many rooms or channels there are, and the largest; nothing where there can be none.
 * @template Row
 * @param {"rooms" | "channels"} name
 * @param {import("../src/page-wire.ts").Groups<Row> | null} groups
 * @param {Rows<Row>} rows
 */
function showGroups(name, groups, rows) {
  byId(\`\${name}-panel\`, HTMLElement).hidden = groups === null;
  if (!groups) return;
  const { count, largest } = groups;
  const isCut = largest.length < count;
  setText(
    byId(\`\${name}-count\`, HTMLElement),
    isCut ? \`\${format.count(count)}, the largest \${format.count(largest.length)} shown\` : format.count(count),
  );
  byId(\`\${name}-empty\`, HTMLElement).hidden = count > 0;
  byId(\`\${name}-table\`, HTMLElement).hidden = count === 0;
  rows.show(largest);
}

/**
 * A line of a room or channel: its name and its numbers.
 * @template Row
 * @param {HTMLElement} title
 * @param {(row: Row) => readonly [number, number]} numbersOf
 */
function groupRow(title, numbersOf) {
  const cells = [0, 1].map(() => element("td", { className: "number" }));
  return {
    element: element("tr", {}, [element("th", { scope: "row" }, [title]), ...cells]),
    /** @param {Row} row */
    update(row) {
      const numbers = numbersOf(row);
      cells.forEach((cell, index) => setText(cell, format.count(numbers[index])));
    },
  };
}
`,
  "page.css": `/* Calm paper and sea by day, slate by night. Every colour is a token; nothing below :root names one. */
:root {
  color-scheme: light dark;
  --paper: #f4f3ef;
  --surface: #fffefc;
  --raised: #ffffff;
  --sunken: #eceae4;
  --line: #dedbd2;
  --line-strong: #8b877c;
  --ink: #1d2124;
  --ink-soft: #5a5f64;
  --accent: #0f766e;
  --accent-hover: #0b5f58;
  --accent-wash: #e0efec;
  --on-accent: #ffffff;
  --second: #b45309;
  --danger: #b3261e;
  --danger-wash: #fbe9e7;
  --warn-ink: #8a4b00;
  --good-ink: #14663a;
  --shadow: 0 1px 2px rgb(30 35 40 / 6%), 0 12px 32px rgb(30 35 40 / 8%);
  --veil: rgb(30 35 40 / 45%);
  --radius: 14px;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", monospace;
}

@media (prefers-color-scheme: dark) {
  :root {
    --paper: #121416;
    --surface: #181b1e;
    --raised: #22262a;
    --sunken: #24292e;
    --line: #2c3136;
    --line-strong: #747c85;
    --ink: #e9ebed;
    --ink-soft: #a4abb2;
    --accent: #5fd3c3;
    --accent-hover: #83e2d5;
    --accent-wash: #163733;
    --on-accent: #06231f;
    --second: #f2a65a;
    --danger: #ff9d94;
    --danger-wash: #3b1d1b;
    --warn-ink: #fbd98a;
    --good-ink: #9ce5bd;
    --shadow: 0 1px 2px rgb(0 0 0 / 30%), 0 12px 32px rgb(0 0 0 / 40%);
    --veil: rgb(0 0 0 / 60%);
  }
}

/* Ground */

*,
*::before,
*::after {
  box-sizing: border-box;
}

[hidden] {
  display: none !important;
}

html {
  -webkit-text-size-adjust: 100%;
  text-size-adjust: 100%;
}

body {
  margin: 0;
  background: var(--paper);
  color: var(--ink);
  font:
    400 0.9375rem/1.5 system-ui,
    -apple-system,
    "Segoe UI",
    Roboto,
    "Noto Sans",
    sans-serif;
}

h1,
h2,
h3,
p,
ul,
dl,
dd,
figure {
  margin: 0;
  padding: 0;
  font-size: inherit;
}

ul {
  list-style: none;
}

button,
input,
select {
  font: inherit;
  color: inherit;
}

button {
  padding: 0;
  border: 0;
  background: none;
  cursor: pointer;
}

:focus-visible {
  outline: 2px solid var(--accent);
  outline-offset: 2px;
}

/* Headings take the focus when a view opens, to lead the keyboard and the screen reader there. */
h1:focus {
  outline: none;
}

.visually-hidden {
  position: absolute;
  width: 1px;
  height: 1px;
  margin: -1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}

.noscript {
  padding: 2rem;
  text-align: center;
}

.logo {
  display: block;
  border-radius: 25%;
}

.hint,
.lead,
.fine-print,
.empty {
  color: var(--ink-soft);
}

.hint,
.fine-print,
.empty {
  font-size: 0.8125rem;
}

.id {
  overflow: hidden;
  font-family: var(--mono);
  font-size: 0.8125rem;
  text-overflow: ellipsis;
  white-space: nowrap;
}

/* Controls */

input,
select {
  width: 100%;
  min-width: 0;
  min-height: 2.5rem;
  padding: 0.375rem 0.75rem;
  border: 1px solid var(--line-strong);
  border-radius: 10px;
  background: var(--raised);
}

input::placeholder {
  color: var(--ink-soft);
  opacity: 1;
}

:is(input, select):focus-visible {
  outline-offset: -1px;
  border-color: var(--accent);
}

.primary,
.danger {
  min-height: 2.5rem;
  padding: 0.375rem 1rem;
  border-radius: 10px;
  font-weight: 600;
}

.primary {
  background: var(--accent);
  color: var(--on-accent);
}

.primary:hover {
  background: var(--accent-hover);
}

.primary:disabled {
  background: var(--sunken);
  color: var(--ink-soft);
  cursor: default;
}

.danger {
  background: var(--danger-wash);
  color: var(--danger);
  white-space: nowrap;
}

.danger:hover {
  box-shadow: inset 0 0 0 1px currentColor;
}

.small {
  min-height: 2rem;
  padding: 0.125rem 0.75rem;
  font-size: 0.8125rem;
}

.quiet {
  min-height: 2.25rem;
  padding: 0.25rem 0.75rem;
  border-radius: 8px;
  color: var(--ink-soft);
  font-size: 0.875rem;
  white-space: nowrap;
}

.quiet:hover {
  background: var(--sunken);
  color: var(--ink);
}

/* What opens something, within a line of text. */
.open {
  min-width: 0;
  min-height: 1.5rem;
  overflow: hidden;
  color: var(--accent);
  text-align: start;
  text-decoration: underline;
  text-decoration-color: transparent;
  text-overflow: ellipsis;
  text-underline-offset: 0.2em;
  white-space: nowrap;
}

.open:hover {
  text-decoration-color: currentColor;
}

.open:focus-visible {
  outline-offset: -2px;
}

/* Sign in */

.sign-in {
  display: grid;
  min-height: 100vh;
  min-height: 100dvh;
  padding: 1.5rem 1.25rem;
  place-items: center;
  background: radial-gradient(60rem 36rem at 50% -10%, var(--accent-wash), transparent 70%);
}

.card {
  display: flex;
  flex-direction: column;
  width: min(100%, 24rem);
  padding: 2rem;
  border: 1px solid var(--line);
  border-radius: calc(var(--radius) * 1.5);
  background: var(--surface);
  box-shadow: var(--shadow);
}

.card h1 {
  margin-top: 1.25rem;
  font-size: 1.625rem;
  font-weight: 680;
  letter-spacing: -0.015em;
  line-height: 1.2;
}

.card .lead {
  margin: 0.375rem 0 1.625rem;
}

label {
  margin-bottom: 0.375rem;
  font-size: 0.8125rem;
  font-weight: 600;
}

.error {
  min-height: 1.25rem;
  margin: 0.375rem 0 0.625rem;
  color: var(--danger);
  font-size: 0.875rem;
  line-height: 1.25rem;
}

.card .fine-print {
  margin-top: 1rem;
  text-align: center;
}

/* The bar */

.bar {
  display: flex;
  position: sticky;
  z-index: 1;
  top: 0;
  gap: 0.625rem;
  align-items: center;
  padding: 0.625rem 1.25rem;
  border-bottom: 1px solid var(--line);
  background: var(--surface);
}

.bar h1 {
  font-weight: 650;
  letter-spacing: -0.01em;
  white-space: nowrap;
}

.status {
  display: flex;
  flex: 1;
  gap: 0.4375rem;
  align-items: center;
  min-width: 0;
  color: var(--warn-ink);
  font-size: 0.8125rem;
  line-height: 1.3;
}

.status::before {
  flex: none;
  width: 0.5rem;
  height: 0.5rem;
  border-radius: 50%;
  background: currentColor;
  content: "";
}

.status[data-state="online"] {
  color: var(--good-ink);
}

.live {
  display: grid;
  gap: 1rem;
  max-width: 100rem;
  margin: 0 auto;
  padding: 1rem 1.25rem 2rem;
}

/* Old numbers are still worth reading, but are not to be taken for new ones. */
.stale .charts,
.stale .value {
  opacity: 0.7;
}

/* The numbers of now */

.tiles {
  display: grid;
  grid-template-columns: repeat(7, minmax(0, 1fr));
  gap: 1px;
  overflow: hidden;
  border: 1px solid var(--line);
  border-radius: var(--radius);
  background: var(--line);
}

.tiles > div {
  padding: 0.75rem 1rem;
  background: var(--surface);
}

.tiles dt,
.note {
  overflow: hidden;
  color: var(--ink-soft);
  font-size: 0.8125rem;
  text-overflow: ellipsis;
  white-space: nowrap;
}

.note {
  min-height: 1.21875rem;
}

.value {
  font-size: 1.375rem;
  font-weight: 650;
  font-variant-numeric: tabular-nums;
  letter-spacing: -0.015em;
  line-height: 1.4;
  white-space: nowrap;
}

/* Charts */

.charts {
  display: grid;
  grid-template-columns: repeat(2, minmax(0, 1fr));
  gap: 1rem;
}

.chart,
.panel {
  min-width: 0;
  border: 1px solid var(--line);
  overflow: clip;
  border-radius: var(--radius);
  background: var(--surface);
}

.chart {
  padding: 0.75rem 1rem 0.5rem;
}

.chart figcaption {
  display: flex;
  flex-wrap: wrap;
  gap: 0 0.75rem;
  align-items: baseline;
  justify-content: space-between;
  margin-bottom: 0.5rem;
}

h2,
h3 {
  font-weight: 650;
}

.chart figcaption p {
  display: flex;
  gap: 0.875rem;
  color: var(--ink-soft);
  font-size: 0.8125rem;
  font-variant-numeric: tabular-nums;
}

/* Without a text it has no line to stand on. */
.when:empty {
  display: none;
}

.chart figcaption b {
  color: var(--ink);
}

.key::before {
  display: inline-block;
  width: 0.875rem;
  margin-inline-end: 0.375rem;
  border-top: 2px solid var(--accent);
  vertical-align: middle;
  content: "";
}

.key-1::before {
  border-top: 2px dashed var(--second);
}

.chart svg {
  display: block;
  width: 100%;
  overflow: visible;
  touch-action: pan-y;
}

.chart line {
  stroke: var(--line);
  shape-rendering: crispEdges;
}

.chart text {
  fill: var(--ink-soft);
  font-size: 11px;
}

.chart .line {
  fill: none;
  stroke: var(--accent);
  stroke-linecap: round;
  stroke-linejoin: round;
  stroke-width: 2;
}

.chart .line-1 {
  stroke: var(--second);
  stroke-dasharray: 5 4;
}

.chart .cursor {
  stroke: var(--line-strong);
  visibility: hidden;
}

.chart .cursor.shown {
  visibility: visible;
}

details {
  font-size: 0.8125rem;
}

summary {
  width: fit-content;
  min-height: 1.5rem;
  border-radius: 4px;
  color: var(--ink-soft);
  cursor: pointer;
}

details table {
  margin: 0.25rem 0 0.5rem;
}

/* Tables and lists */

.columns {
  display: grid;
  grid-template-columns: minmax(0, 1fr) 24rem;
  gap: 1rem;
  align-items: start;
}

.side {
  display: grid;
  gap: 1rem;
}

.panel-head {
  display: flex;
  flex-wrap: wrap;
  gap: 0.25rem 0.625rem;
  align-items: center;
  padding: 0.75rem 1rem 0.5rem;
}

.panel-head input {
  width: min(100%, 18rem);
  margin-inline-start: auto;
}

.empty {
  padding: 0 1rem 0.75rem;
}

.scroller {
  max-height: 40rem;
  overflow: auto;
  border-radius: 0 0 var(--radius) var(--radius);
}

.scroller:focus-visible {
  outline-offset: -2px;
}

table {
  width: 100%;
  border-collapse: collapse;
  font-size: 0.8125rem;
  font-variant-numeric: tabular-nums;
}

th,
td {
  padding: 0.3125rem 0.5rem;
  border-top: 1px solid var(--line);
  font-weight: 400;
  text-align: start;
  white-space: nowrap;
}

thead th {
  color: var(--ink-soft);
}

:is(th, td):first-child {
  padding-inline-start: 1rem;
}

:is(th, td):last-child {
  padding-inline-end: 1rem;
}

.scroller thead th {
  position: sticky;
  top: 0;
  background: var(--surface);
}

/* Beside the connections: as wide as its panel, which leaves to the names what the numbers do not need. */
.groups {
  table-layout: fixed;
}

.groups .number {
  width: 5.5rem;
}

.groups .number:last-child {
  width: 6.5rem;
}

.side .scroller {
  max-height: 18rem;
}

.groups .open {
  display: block;
  max-width: 100%;
}

/* Nothing opens that would show more of it. */
.groups th > bdi {
  display: -webkit-box;
  overflow: hidden;
  -webkit-box-orient: vertical;
  -webkit-line-clamp: 3;
  overflow-wrap: anywhere;
  text-align: left; /* whichever way it is written */
  white-space: normal;
}

.number {
  text-align: end;
}

td.route {
  max-width: 16rem;
  overflow: hidden;
  text-overflow: ellipsis;
}

.first {
  display: flex;
  gap: 0.5rem;
  align-items: center;
}

.first .open {
  max-width: 11.5rem;
}

.mark {
  padding: 0 0.4375rem;
  border-radius: 1rem;
  background: var(--accent-wash);
  color: var(--accent);
  font-size: 0.75rem;
}

tbody tr:hover {
  background: var(--sunken);
}

.list {
  max-height: 16rem;
  overflow: auto;
  font-size: 0.8125rem;
}

.list li {
  display: flex;
  position: relative;
  gap: 0.75rem;
  align-items: center;
  justify-content: space-between;
  min-height: 2rem;
  padding: 0.25rem 1rem;
  border-top: 1px solid var(--line);
}

.list bdi {
  overflow: hidden;
  min-width: 0;
  text-overflow: ellipsis;
  white-space: nowrap;
}

.figure {
  flex: none;
  font-variant-numeric: tabular-nums;
}

.words {
  min-width: 0;
}

.share {
  position: absolute;
  bottom: 0;
  left: 0;
  height: 2px;
  background: var(--accent);
}

/* Dialogs */

dialog {
  width: min(34rem, 100vw - 2rem);
  max-height: min(44rem, 100vh - 2rem);
  padding: 1.25rem;
  overflow: auto;
  border: 1px solid var(--line);
  border-radius: calc(var(--radius) * 1.25);
  background: var(--surface);
  box-shadow: var(--shadow);
  color: var(--ink);
}

dialog::backdrop {
  background: var(--veil);
}

.dialog-head {
  display: flex;
  gap: 1rem;
  align-items: center;
  justify-content: space-between;
}

.dialog-head h2 {
  min-width: 0;
  font-size: 1.125rem;
  overflow-wrap: anywhere;
}

.facts {
  display: grid;
  grid-template-columns: repeat(2, minmax(0, 1fr));
  gap: 0.75rem 1.25rem;
  margin: 1rem 0 1.25rem;
}

.facts dt {
  color: var(--ink-soft);
  font-size: 0.8125rem;
}

.facts dd {
  font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere;
}

.actions {
  display: grid;
  grid-template-columns: repeat(2, minmax(0, 1fr));
  gap: 0.75rem;
  padding-top: 1rem;
  border-top: 1px solid var(--line);
}

.actions label {
  display: block;
}

.actions .danger {
  grid-column: 1 / -1;
}

.dialog-status {
  margin-top: 0.75rem;
  color: var(--ink-soft);
}

/* Empty it takes no room, but is there to be announced. */
.dialog-status:empty {
  margin: 0;
}

#room-users {
  max-height: none;
  margin: 0.75rem -1.25rem 0;
  border-bottom: 1px solid var(--line);
}

#room-users li {
  padding-inline: 1.25rem;
}

@media (width < 70rem) {
  .tiles {
    grid-template-columns: repeat(4, minmax(0, 1fr));
  }

  /* Seven in rows of four: the first takes two places. */
  .tiles > div:first-child {
    grid-column: span 2;
  }

  .columns {
    grid-template-columns: minmax(0, 1fr);
  }
}

@media (width < 45rem) {
  .bar {
    padding: 0.625rem 0.875rem;
  }

  .live {
    gap: 0.75rem;
    padding: 0.75rem 0.875rem 2rem;
  }

  .tiles {
    grid-template-columns: repeat(2, minmax(0, 1fr));
  }

  .tiles > div {
    padding: 0.5rem 0.875rem;
  }

  .charts {
    grid-template-columns: minmax(0, 1fr);
    gap: 0.75rem;
  }

  .wide {
    display: none;
  }

  /* The last column that is left. */
  .connections :is(th, td):nth-child(7) {
    padding-inline-end: 1rem;
  }

  .first {
    display: block;
  }

  .first .open {
    display: block;
    max-width: 6rem;
  }

  td.route {
    max-width: 5.75rem;
  }

  .panel-head input {
    width: 100%;
  }

  .open,
  .list li {
    min-height: 2.5rem;
  }
}

@media (width < 30rem) {
  .facts,
  .actions {
    grid-template-columns: minmax(0, 1fr);
  }

  .facts > div {
    display: flex;
    gap: 1rem;
    justify-content: space-between;
  }

  .facts {
    gap: 0.375rem;
  }

  .facts dd {
    text-align: end;
  }
}
`,
  "page.js": `// @ts-check
/** The page: asks for the token, and brings what the server says to the parts that draw it. */

import { ConnectionDialog } from "./connection-dialog.js";
import { Connections } from "./connections.js";
import { byId, setText } from "./elements.js";
import * as format from "./format.js";
import { LiveConnection } from "./live-connection.js";
import { Overview } from "./overview.js";
import { RoomDialog } from "./room-dialog.js";

/** @typedef {import("../src/page-wire.ts").Command} Command */
/** @typedef {import("../src/page-wire.ts").ServerMessage} ServerMessage */

/** Where this tab keeps the token: other pages of the same origin may have one of their own. */
const KEY = \`vel-metrics \${location.pathname}\`;
const STATES = { connecting: "Connecting…", online: "Live", offline: "Connection lost. Trying again…" };

const signIn = byId("sign-in", HTMLElement);
const token = byId("token", HTMLInputElement);
const signInError = byId("sign-in-error", HTMLElement);
const signInSubmit = byId("sign-in-submit", HTMLButtonElement);
const app = byId("app", HTMLElement);
const status = byId("status", HTMLElement);
const reconnect = byId("reconnect", HTMLButtonElement);

/** @type {LiveConnection | undefined} */
let connection;

const connectionDialog = new ConnectionDialog(send);
const roomDialog = new RoomDialog(send);
const overview = new Overview({
  onConnection: (id) => connectionDialog.open(id),
  onRoom: (name) => roomDialog.open(name),
});
const connections = new Connections({
  onOpen: (id) => connectionDialog.open(id),
  onFilter: (text) => send({ type: "filter", text }),
});

byId("sign-in-form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  if (token.value === "") return refuse("Type the token that the server was started with.");
  connect(token.value);
});
reconnect.addEventListener("click", () => connection?.retry());
byId("sign-out", HTMLButtonElement).addEventListener("click", () => {
  sessionStorage.removeItem(KEY);
  // All that was shown goes with the document.
  location.reload();
});
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector("[data-dismiss]")?.addEventListener("click", () => dialog.close());
}

const kept = sessionStorage.getItem(KEY);
if (kept === null) show("sign-in");
else connect(kept);

/** @param {string} secret */
function connect(secret) {
  connection?.close();
  setText(signInError, "");
  signInSubmit.disabled = true;
  connection = new LiveConnection(secret, {
    onState(state) {
      status.dataset["state"] = state;
      setText(status, STATES[state]);
      reconnect.hidden = state !== "offline";
      app.classList.toggle("stale", state !== "online");
      // A form cannot be waited for for ever: what the server is doing is said beside it.
      if (state === "offline" && !signIn.hidden) setText(signInError, "The server does not answer. Trying again…");
    },
    onMessage: receive,
    onRefused(retryAfter) {
      sessionStorage.removeItem(KEY);
      refuse(
        retryAfter === null
          ? "That is not the token."
          : \`Too many wrong tokens came from your network. Try again in \${format.duration(Math.ceil(retryAfter / 1_000) * 1_000)}.\`,
      );
    },
  });

  /** @param {ServerMessage} message */
  function receive(message) {
    switch (message.type) {
      case "welcome":
        sessionStorage.setItem(KEY, secret);
        show("app");
        overview.begin(message);
        return send({ type: "filter", text: connections.filter });
      case "snapshot":
        overview.show(message);
        connectionDialog.refresh();
        return roomDialog.refresh();
      case "connections":
        return connections.show(message);
      case "connection":
        return connectionDialog.show(message.id, message.connection);
      case "room":
        return roomDialog.show(message);
      case "done":
      case "error":
        if (connectionDialog.isOpen) connectionDialog.say(\`\${message.text}.\`);
        if (roomDialog.isOpen) roomDialog.say(\`\${message.text}.\`);
        connectionDialog.refresh();
        roomDialog.refresh();
    }
  }
}

/** @param {Command} command */
function send(command) {
  connection?.send(command);
}

/** @param {string} why */
function refuse(why) {
  show("sign-in");
  setText(signInError, why);
  signInSubmit.disabled = false;
  token.select();
}

/** Shows one of the two views, and leads the keyboard there. @param {"sign-in" | "app"} view */
function show(view) {
  const isNew = document.body.dataset["view"] !== view;
  document.body.dataset["view"] = view;
  signIn.hidden = view !== "sign-in";
  app.hidden = view !== "app";
  if (!isNew) return;
  if (view === "sign-in") token.focus();
  else {
    token.value = "";
    byId("heading", HTMLElement).focus();
  }
}
`,
  "room-dialog.js": `// @ts-check
/** One room and who is in it. */

import { byId, element, Rows, setText } from "./elements.js";
import * as format from "./format.js";

/** @typedef {import("../src/page-wire.ts").Command} Command */
/** @typedef {Extract<import("../src/page-wire.ts").ServerMessage, { type: "room" }>} RoomMessage */

/** Shows it, and kicks users. */
export class RoomDialog {
  #dialog = byId("room-dialog", HTMLDialogElement);
  #send;
  /** @type {string | undefined} */
  #name;
  #users = new Rows(
    byId("room-users", HTMLElement),
    /** @param {string} id */ (id) => id,
    (user) => {
      const button = element("button", { type: "button", className: "danger small", textContent: "Kick" });
      button.append(element("span", { className: "visually-hidden" }, [": ", element("bdi", { textContent: user })]));
      button.addEventListener("click", () => {
        if (this.#name !== undefined) this.#send({ type: "kick", room: this.#name, user });
      });
      const row = element("li", {}, [element("bdi", { textContent: user }), button]);
      row.dataset["testid"] = "room-user";
      return { element: row, update: () => undefined };
    },
  );

  /** @param {(command: Command) => void} send */
  constructor(send) {
    this.#send = send;
    this.#dialog.addEventListener("close", () => (this.#name = undefined));
  }

  get isOpen() {
    return this.#name !== undefined;
  }

  /** @param {string} name */
  open(name) {
    this.#name = name;
    setText(byId("room-title", HTMLElement), name);
    this.#users.show([]);
    setText(byId("room-summary", HTMLElement), "");
    this.say("");
    this.#dialog.showModal();
    this.refresh();
  }

  /** Asks who is in now. */
  refresh() {
    if (this.#name !== undefined) this.#send({ type: "room", name: this.#name });
  }

  /** @param {RoomMessage} message */
  show({ name, room }) {
    if (name !== this.#name) return;
    const hadFocus = document.activeElement?.closest("#room-users") != null;
    const users = room?.users ?? [];
    this.#users.show(users);
    // The button that was pressed is gone with its user.
    if (hadFocus && !this.#dialog.contains(document.activeElement)) this.#dialog.querySelector("button")?.focus();
    const isCut = room && users.length < room.userCount;
    setText(
      byId("room-summary", HTMLElement),
      room
        ? \`\${format.plural(room.userCount, "user")} on \${format.plural(room.connectionCount, "connection")}\` +
            (isCut ? \`, the first \${format.count(users.length)} shown\` : "")
        : "There is no such room any more.",
    );
  }

  /** @param {string} text */
  say(text) {
    setText(byId("room-status", HTMLElement), text);
  }
}
`,
};
