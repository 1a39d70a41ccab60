// @ts-check
/** The list of rooms: fresh while it can be seen, and what a room may be called. */

import { element, name } from "./chat-elements.js";

const EVERY = 4_000;
const LONGEST_NAME = 64;

/** The room that the address names. */
export function roomOfAddress() {
  return new URLSearchParams(location.hash.slice(1)).get("room") ?? undefined;
}

/** The address of a room within this page. @param {string} room */
export function addressOf(room) {
  return `#room=${encodeURIComponent(room)}`;
}

/** A room's name within a sentence. @param {string} room */
export function quoted(room) {
  return element("bdi", { textContent: `“${room}”` });
}

/** What is wrong with a room name, or undefined. @param {string} room */
export function roomNameError(room) {
  if (room.trim() === "") return "Give the room a name.";
  if (room.length > LONGEST_NAME) return `A room's name has at most ${LONGEST_NAME} characters.`;
  // Browsers resolve these in every address, however they are escaped.
  if (room === "." || room === "..") return "A room's name cannot be only dots.";
  return undefined;
}

/** Asks the server for its rooms every few seconds and draws them. */
export class RoomList {
  #list;
  #hint;
  #here;

  /**
   * Takes over the list and the line below it.
   * @param {object} options
   * @param {HTMLElement} options.list
   * @param {HTMLElement} options.hint
   * @param {() => { room: string, size: number } | undefined} options.here the room that is open, which is always listed
   */
  constructor({ list, hint, here }) {
    this.#list = list;
    this.#hint = hint;
    this.#here = here;
    setInterval(() => void this.refresh(), EVERY);
    document.addEventListener("visibilitychange", () => void this.refresh());
  }

  /** Draws the list anew if anybody can see it. */
  async refresh() {
    if (this.#list.getClientRects().length === 0 || document.visibilityState !== "visible") return;
    try {
      const response = await fetch("/chat/rooms", { signal: AbortSignal.timeout(EVERY) });
      if (!response.ok) throw new Error(`Status ${response.status}`);
      const { rooms } = /** @type {{ rooms: { room: string, user_count: number }[] }} */ (await response.json());
      this.#draw(new Map(rooms.map(({ room, user_count }) => [room, user_count])));
    } catch {
      this.#say("The list of rooms cannot be loaded right now.");
    }
  }

  /** Brings the list up to date and leaves entries that stay in place, so that none loses the focus. @param {Map<string, number>} counts */
  #draw(counts) {
    const here = this.#here();
    if (here) counts.set(here.room, Math.max(here.size, counts.get(here.room) ?? 0));
    const rooms = Array.from(counts.keys()).sort((a, b) => a.localeCompare(b));
    this.#say(rooms.length === 0 ? "No rooms yet. Start the first one." : "");
    const known = new Map(
      Array.from(this.#list.children, (item) => [item.querySelector("a")?.dataset["room"] ?? "", item]),
    );
    for (const [room, item] of known) if (!counts.has(room)) item.remove();
    rooms.forEach((room, index) => {
      const item = known.get(room) ?? roomItem(room);
      const inPlace = this.#list.children[index];
      if (inPlace !== item) this.#list.insertBefore(item, inPlace ?? null);
      const count = counts.get(room) ?? 0;
      const badge = item.querySelector(".count");
      if (badge) badge.textContent = count === 0 ? "empty" : count === 1 ? "1 person" : `${count} people`;
      const link = item.querySelector("a");
      if (room === here?.room) link?.setAttribute("aria-current", "page");
      else link?.removeAttribute("aria-current");
    });
  }

  /** Sets the line below; unchanged text is not announced again. @param {string} text */
  #say(text) {
    if (this.#hint.textContent !== text) this.#hint.textContent = text;
  }
}

/** Builds the entry of a room. @param {string} room */
function roomItem(room) {
  const link = element("a", { href: addressOf(room), title: room });
  link.dataset["testid"] = "room-item";
  link.dataset["room"] = room;
  link.append(name(room), element("span", { className: "count" }));
  const item = element("li");
  item.append(link);
  return item;
}
