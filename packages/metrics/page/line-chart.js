// @ts-check
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
      element("span", { className: `key key-${index}` }, [name, " ", this.#values[index] ?? ""]),
    );
    const heading = element("h3", { textContent: title });
    const caption = element("figcaption", {}, [heading, element("p", {}, [this.#when, ...legend])]);

    const name = svgElement("title", { id: `${id}-title` });
    name.textContent = title;
    this.#description.id = `${id}-description`;
    this.#svg.setAttribute("aria-labelledby", `${id}-title`);
    this.#svg.setAttribute("aria-describedby", `${id}-description`);
    this.#svg.append(name, this.#description, this.#grid, this.#lines, this.#cursor);

    const summary = element("summary", { textContent: "As a table" });
    summary.append(element("span", { className: "visually-hidden", textContent: `: ${title}` }));
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
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
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
        return svgElement("path", { class: `line line-${index}`, d });
      }),
    );
    this.#legend(samples, now, x);
    const ranges = series.map(({ name }, index) => {
      const known = (values[index] ?? []).filter((value) => value !== null);
      if (known.length === 0) return `${name}: nothing yet`;
      return `${name}: ${format(known.at(-1))} now, from ${format(Math.min(...known))} to ${format(Math.max(...known))}`;
    });
    setText(this.#description, `${ranges.join("; ")}, in the last ${duration(span)}.`);
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
      label(`${duration(span).replace(" 0 s", "")} ago`, { x: MARGIN.left, y: below }),
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
  return milliseconds < 500 ? "now" : `${duration(Math.round(milliseconds / 1_000) * 1_000)} ago`;
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
    path += `${at - last > longestGap ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
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
