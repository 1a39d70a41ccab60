// @ts-check
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
    const found = filter === "" ? format.count(matches) : `${format.plural(matches, "match", "matches")}`;
    setText(this.#count, list.length < matches ? `${found}, the oldest ${format.count(list.length)} shown` : found);
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
