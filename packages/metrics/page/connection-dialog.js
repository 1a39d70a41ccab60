// @ts-check
/** One connection, looked at closely and live; and its end, if the viewer wants it. */

import { byId, element, Rows, setText } from "./elements.js";
import * as format from "./format.js";

/** @typedef {import("../src/page-wire.ts").Command} Command */
/** @typedef {import("../src/page-wire.ts").ConnectionDetails} ConnectionDetails */

/** What is told of it. @type {readonly (readonly [string, (details: ConnectionDetails) => string])[]} */
const facts = [
  ["Route", ({ route }) => route],
  ["From", ({ address, port }) => (address === null ? "–" : port === null ? address : `${address}, port ${port}`)],
  ["State", stateOf],
  ["Open for", ({ age }) => format.age(age)],
  ["Subprotocol", ({ protocol }) => protocol || "none"],
  ["Round trip", ({ roundTrip }) => format.duration(roundTrip)],
  ["Received", (each) => `${format.count(each.messagesReceived)} messages, ${format.bytes(each.bytesReceived)}`],
  ["Sent", (each) => `${format.count(each.messagesSent)} messages, ${format.bytes(each.bytesSent)}`],
  ["Waiting to leave", ({ bufferedBytes }) => format.bytes(bufferedBytes)],
  ["Dropped", ({ messagesDropped }) => `${format.plural(messagesDropped, "message")}`],
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
