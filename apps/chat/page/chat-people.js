// @ts-check
/** Who is in the room and who of them types. */

import { avatar, element, name } from "./chat-elements.js";

/** @typedef {import("./chat-connection.js").User} User */

const TYPING_LASTS = 5_000;

/** Keeps the list of people and the line of typists in step with what the room tells. */
export class People {
  #parts;
  #myId = "";
  /** By user id, so that nobody is ever there twice. @type {Map<string, User>} */
  #users = new Map();
  /** With the timer that forgets each. @type {Map<string, { user: User, timer: ReturnType<typeof setTimeout> }>} */
  #typists = new Map();

  /**
   * Takes over the list, the number beside it and the line that says who types.
   * @param {{ list: HTMLElement, count: HTMLElement, typing: HTMLElement }} parts
   */
  constructor(parts) {
    this.#parts = parts;
  }

  /** How many are here. */
  get size() {
    return this.#users.size;
  }

  /** Starts from what the room told on entering, or from nobody. @param {string} myId @param {User[]} users */
  reset(myId, users) {
    this.#myId = myId;
    this.#users = new Map(users.map((user) => [user.user_id, user]));
    this.#draw();
  }

  /** Takes somebody in; tells whether that is news. @param {User} user */
  add(user) {
    const isNew = !this.#users.has(user.user_id) && user.user_id !== this.#myId;
    this.#users.set(user.user_id, user);
    this.#draw();
    return isNew;
  }

  /** Lets somebody go; tells whether that is news. @param {User} user */
  remove({ user_id }) {
    this.stopTyping(user_id);
    const wasHere = this.#users.delete(user_id);
    this.#draw();
    return wasHere;
  }

  /** Remembers for 5 s that somebody else types. @param {User} user */
  startTyping(user) {
    if (user.user_id === this.#myId) return;
    clearTimeout(this.#typists.get(user.user_id)?.timer);
    const timer = setTimeout(() => this.stopTyping(user.user_id), TYPING_LASTS);
    this.#typists.set(user.user_id, { user, timer });
    this.#drawTyping();
  }

  /** Forgets that somebody types. @param {string} userId */
  stopTyping(userId) {
    clearTimeout(this.#typists.get(userId)?.timer);
    if (this.#typists.delete(userId)) this.#drawTyping();
  }

  /** Forgets everybody who types: after a break nobody says that they stopped. */
  forgetTypists() {
    for (const userId of Array.from(this.#typists.keys())) this.stopTyping(userId);
  }

  /** Draws who is here: oneself first, the others by name. */
  #draw() {
    const isMe = (/** @type {User} */ user) => user.user_id === this.#myId;
    const users = Array.from(this.#users.values()).sort(
      (a, b) => Number(isMe(b)) - Number(isMe(a)) || a.name.localeCompare(b.name),
    );
    this.#parts.count.textContent = String(users.length);
    this.#parts.list.replaceChildren(
      ...users.map((user) => {
        const item = element("li");
        item.dataset["testid"] = "person";
        item.dataset["userId"] = user.user_id;
        item.append(avatar(user), name(user.name));
        if (isMe(user)) item.append(element("span", { className: "tag", textContent: "you" }));
        return item;
      }),
    );
  }

  /** Says who types. */
  #drawTyping() {
    const line = this.#parts.typing;
    const names = Array.from(this.#typists.values(), ({ user }) => name(user.name));
    const [first, second, third] = names;
    if (!first) line.replaceChildren();
    else if (!second) line.replaceChildren(first, " is typing…");
    else if (!third) line.replaceChildren(first, " and ", second, " are typing…");
    else if (names.length === 3) line.replaceChildren(first, ", ", second, " and ", third, " are typing…");
    else line.replaceChildren("Several people are typing…");
  }
}
