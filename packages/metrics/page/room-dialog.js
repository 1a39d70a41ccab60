// @ts-check
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
        ? `${format.plural(room.userCount, "user")} on ${format.plural(room.connectionCount, "connection")}` +
            (isCut ? `, the first ${format.count(users.length)} shown` : "")
        : "There is no such room any more.",
    );
  }

  /** @param {string} text */
  say(text) {
    setText(byId("room-status", HTMLElement), text);
  }
}
