// @ts-check
/**
 * The messages of a room as a list in the document: grouped by author, kept in order, scrolled only when the reader is
 * at the end. Everything a stranger wrote goes in as text.
 */

import { avatar, element, name, tintOf } from "./chat-elements.js";

/** @typedef {import("./chat-connection.js").RoomMessage} RoomMessage */
/** @typedef {import("./chat-connection.js").ChatMessage} ChatMessage */
/** @typedef {import("./chat-connection.js").User} User */

const AT_END = 48;
const GROUP_WITHIN = 5 * 60_000;
const LONGEST_LIST = 500;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** Draws the messages and the quiet lines between them. */
export class Timeline {
  /** @type {HTMLElement} */
  #scroller;
  /** @type {HTMLElement} */
  #list;
  /** @type {HTMLButtonElement} */
  #jump;
  /** @type {User} */
  #me = { user_id: "", name: "" };
  /** Own messages by id; a message is shown once, however often the server repeats it. @type {Map<string, HTMLElement>} */
  #own = new Map();
  #lastDay = "";
  #following = true;

  /**
   * Takes over a scroller, the list in it and the button that leads to the end.
   * @param {{ scroller: HTMLElement, list: HTMLElement, jump: HTMLButtonElement }} parts
   */
  constructor({ scroller, list, jump }) {
    this.#scroller = scroller;
    this.#list = list;
    this.#jump = jump;
    scroller.addEventListener("scroll", () => {
      this.#following = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < AT_END;
      if (this.#following) jump.hidden = true;
    });
    jump.addEventListener("click", () => {
      scroller.focus({ preventScroll: true });
      this.toEnd();
    });
    new ResizeObserver(() => {
      if (this.#following) this.toEnd();
    }).observe(scroller);
  }

  /** Starts empty, for another room or another person. @param {User} me */
  reset(me) {
    this.#me = me;
    this.#own.clear();
    this.#lastDay = new Date().toDateString();
    this.#list.replaceChildren();
    this.toEnd();
  }

  /** Scrolls to the newest line. */
  toEnd() {
    this.#following = true;
    this.#jump.hidden = true;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  /** Shows what the room said; the echo of an own message only settles it. @param {RoomMessage} message */
  add(message) {
    const at = new Date(message.timestamp);
    if (message.type === "system_message") return this.notice([bidi(message.message)], "system");
    const own = message.user_id === this.#me.user_id;
    const pending = own && message.id !== undefined ? this.#own.get(message.id) : undefined;
    if (pending?.dataset["state"] === "sent") return;
    this.#divideDays(at);
    const item = pending ?? this.#draw(message, own, at);
    item.dataset["seq"] = String(message.seq);
    item.dataset["at"] = String(at.getTime());
    if (pending) this.#settle(pending, at);
    else this.#place(item);
    if (own && message.id !== undefined) this.#own.set(message.id, item);
  }

  /** Shows an own message that has no echo yet. @param {string} id @param {string} text */
  addPending(id, text) {
    const at = new Date();
    const item = this.#draw({ ...this.#me, message: text }, true, at);
    item.dataset["at"] = String(at.getTime());
    item.dataset["state"] = "pending";
    receiptOf(item).textContent = "Sending…";
    this.#own.set(id, item);
    this.#list.append(item);
    this.#group(item);
    this.toEnd();
  }

  /**
   * Tells why an own message was not delivered, and offers to try again or to drop it.
   * @param {string} id
   * @param {string} reason
   * @param {(text: string) => void} onRetry called once the failed message has left the list
   */
  fail(id, reason, onRetry) {
    const item = this.#own.get(id);
    if (!item) return;
    item.dataset["state"] = "failed";
    const retry = element("button", { type: "button", className: "link", textContent: "Try again" });
    const remove = element("button", { type: "button", className: "link", textContent: "Remove" });
    const drop = () => {
      this.#own.delete(id);
      const next = item.nextElementSibling;
      item.remove();
      if (next) this.#group(next);
    };
    retry.addEventListener("click", () => {
      drop();
      onRetry(item.querySelector(".text")?.textContent ?? "");
    });
    remove.addEventListener("click", () => {
      drop();
      this.#scroller.focus({ preventScroll: true });
    });
    receiptOf(item).replaceChildren(
      element("span", { textContent: `Not sent: ${reason}`, dir: "auto" }),
      retry,
      remove,
    );
    this.#follow();
  }

  /**
   * Adds a quiet line that is no message.
   * @param {(Node | string)[]} content
   * @param {"presence" | "system" | "divider" | "gap"} kind
   */
  notice(content, kind) {
    const item = element("li", { className: `notice ${kind}` });
    item.dataset["testid"] = "notice";
    item.append(element("span"));
    item.firstElementChild?.append(...content);
    this.#place(item);
  }

  /** Marks an own message as delivered, where the room has put it. @param {HTMLElement} item @param {Date} at */
  #settle(item, at) {
    item.dataset["state"] = "sent";
    const receipt = receiptOf(item);
    receipt.replaceChildren(element("span", { className: "visually-hidden", textContent: "Delivered" }));
    item.querySelector("time")?.replaceWith(time(at));
    const waiting = this.#firstPending();
    // Moved only when one written earlier still waits: moving an element costs it its focus.
    if (waiting && waiting.compareDocumentPosition(item) & Node.DOCUMENT_POSITION_FOLLOWING) this.#place(item);
    else this.#group(item);
  }

  /** The first own message without an echo: what the room says goes in before it. */
  #firstPending() {
    return this.#list.querySelector(':scope > [data-state="pending"]');
  }

  /** Puts a line at the end of what the room has said. @param {HTMLElement} item */
  #place(item) {
    const waiting = this.#firstPending();
    this.#list.insertBefore(item, waiting);
    this.#group(item);
    if (waiting) this.#group(waiting);
    while (this.#list.childElementCount > LONGEST_LIST) this.#dropOldest();
    this.#follow();
  }

  /** Forgets the line that was there longest: a room can talk for days. */
  #dropOldest() {
    const oldest = this.#list.firstElementChild;
    for (const [id, item] of this.#own) if (item === oldest) this.#own.delete(id);
    oldest?.remove();
  }

  /** Stays at the end if the reader is there, and otherwise says that there is more. */
  #follow() {
    if (this.#following) this.toEnd();
    else this.#jump.hidden = false;
  }

  /** Joins a message to the one above it if the same person wrote both within a short time. @param {Element} item */
  #group(item) {
    const above = item.previousElementSibling;
    if (!(item instanceof HTMLElement) || item.dataset["testid"] !== "message") return;
    const joined =
      above instanceof HTMLElement &&
      above.dataset["userId"] === item.dataset["userId"] &&
      Number(item.dataset["at"]) - Number(above.dataset["at"]) < GROUP_WITHIN;
    item.classList.toggle("continued", joined);
  }

  /** Writes the date when it is another than that of the line before. @param {Date} at */
  #divideDays(at) {
    const day = at.toDateString();
    if (day === this.#lastDay) return;
    this.#lastDay = day;
    const today = day === new Date().toDateString();
    this.notice([today ? "Today" : calendar.format(at)], "divider");
  }

  /**
   * Builds the list item of a message.
   * @param {User & { message: string }} message
   * @param {boolean} own
   * @param {Date} at
   */
  #draw(message, own, at) {
    const item = element("li", { className: own ? "message own" : "message" });
    Object.assign(item.dataset, { testid: "message", own: String(own), state: "sent", userId: message.user_id });
    const author = name(message.name);
    author.dataset["testid"] = "message-author";
    author.classList.add("author", `ink-${tintOf(message.user_id)}`);
    if (own) author.classList.add("visually-hidden");
    const meta = element("p", { className: "meta" });
    meta.append(author, " ", time(at));
    const text = element("p", { className: "text", dir: "auto", textContent: message.message });
    text.dataset["testid"] = "message-text";
    const body = element("div", { className: "body" });
    body.append(meta, text, element("p", { className: "receipt" }));
    item.append(avatar(message), body);
    return item;
  }
}

/** The line of an own message that tells how far it got. @param {HTMLElement} item */
function receiptOf(item) {
  return /** @type {HTMLElement} */ (item.querySelector(".receipt"));
}

/** A time of day that a machine can read too. @param {Date} at */
function time(at) {
  return element("time", { dateTime: at.toISOString(), textContent: clock.format(at), title: moment.format(at) });
}

/** Text in its own direction. @param {string} text */
function bidi(text) {
  return element("bdi", { textContent: text });
}
