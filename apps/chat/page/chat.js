// @ts-check
/** The page: which view is shown, what its controls do, and how a room's news reaches the parts that draw it. */

import { RoomConnection } from "./chat-connection.js";
import { avatar, name } from "./chat-elements.js";
import { OUTBOX_LIMIT } from "./chat-outbox.js";
import { People } from "./chat-people.js";
import { RoomList, addressOf, quoted, roomNameError, roomOfAddress } from "./chat-rooms.js";
import { Session, SignInError } from "./chat-session.js";
import { StatusBar } from "./chat-status.js";
import { Timeline } from "./chat-timeline.js";

/** @typedef {import("./chat-connection.js").ChatConfig} ChatConfig */
/** @typedef {import("./chat-connection.js").Entry} Entry */
/** @typedef {import("./chat-connection.js").RoomMessage} RoomMessage */
/** @typedef {import("./chat-connection.js").User} User */

const HINT_LASTS = 8_000;
const CONFIG_TIMEOUT = 4_000;
const TITLE = document.title;

/** @type {ChatConfig} What holds until the server has told otherwise. */
let config = { ping_interval: 20_000, pong_timeout: 10_000, max_message: 2_000 };

const page = {
  signIn: byId("sign-in", HTMLElement),
  signInForm: byId("sign-in-form", HTMLFormElement),
  signInLead: byId("sign-in-lead", HTMLElement),
  signInName: byId("sign-in-name", HTMLInputElement),
  signInError: byId("sign-in-error", HTMLElement),
  signInSubmit: byId("sign-in-submit", HTMLButtonElement),
  app: byId("app", HTMLElement),
  roomsHeading: byId("rooms-heading", HTMLElement),
  roomForm: byId("room-form", HTMLFormElement),
  roomName: byId("room-name-input", HTMLInputElement),
  roomError: byId("room-error", HTMLElement),
  meAvatar: byId("me-avatar", HTMLElement),
  meName: byId("me-name", HTMLElement),
  signOut: byId("sign-out", HTMLButtonElement),
  welcome: byId("welcome", HTMLElement),
  welcomeName: byId("welcome-name", HTMLElement),
  welcomeNotice: byId("welcome-notice", HTMLElement),
  room: byId("room", HTMLElement),
  roomTitle: byId("room-title", HTMLElement),
  leaveRoom: byId("leave-room", HTMLButtonElement),
  peopleToggle: byId("people-toggle", HTMLButtonElement),
  peoplePanel: byId("people-panel", HTMLElement),
  peopleHeading: byId("people-heading", HTMLElement),
  reconnect: byId("reconnect", HTMLButtonElement),
  composerForm: byId("composer-form", HTMLFormElement),
  composerGrow: byId("composer-grow", HTMLElement),
  composer: byId("composer", HTMLTextAreaElement),
  composerHint: byId("composer-hint", HTMLElement),
};

/** @type {RoomConnection | undefined} */
let connection;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let hintTimer;
let unread = 0;
let signingIn = false;

const session = new Session({
  onRenewed: () => connection?.authenticate(),
  onLost: () => backToSignIn("Your session has expired. Please sign in again."),
});
const timeline = new Timeline({
  scroller: byId("scroller", HTMLElement),
  list: byId("messages", HTMLElement),
  jump: byId("new-messages", HTMLButtonElement),
});
const people = new People({
  list: byId("people", HTMLElement),
  count: byId("people-count", HTMLElement),
  typing: byId("typing", HTMLElement),
});
const statusBar = new StatusBar({
  bar: byId("status", HTMLElement),
  text: byId("status-text", HTMLElement),
  countdown: byId("status-countdown", HTMLElement),
  button: page.reconnect,
});
const rooms = new RoomList({
  list: byId("room-list", HTMLElement),
  hint: byId("rooms-hint", HTMLElement),
  here: () => connection && { room: connection.room, size: people.size },
});

/** Wide enough for the people to stand beside the conversation; on a phone they open over it. */
const wide = matchMedia("(min-width: 60rem)");
/** A device with a keyboard; elsewhere focus in a field would raise the one on the screen. */
const hasKeyboard = matchMedia("(hover: hover) and (pointer: fine)");

// Views

/** Shows what the address and the session call for. */
function route() {
  const identity = session.identity;
  const room = roomOfAddress();
  if (!identity) {
    leaveRoom();
    page.signInLead.replaceChildren(
      ...(room === undefined ? ["Choose a name, pick a room, talk."] : ["Choose a name to enter ", quoted(room), "."]),
    );
    return show("sign-in");
  }
  const me = { user_id: identity.userId, name: identity.name };
  page.meAvatar.replaceChildren(avatar(me));
  page.meName.textContent = page.welcomeName.textContent = page.meName.title = me.name;
  const error = room === undefined ? undefined : roomNameError(room);
  fault(page.roomName, page.roomError, error ?? "");
  if (room === undefined || error !== undefined) {
    leaveRoom();
    show("rooms");
  } else if (connection?.room !== room) {
    const lost = leaveRoom();
    enterRoom(room, me);
    show("room");
    hint(lost);
  }
  void rooms.refresh();
}

/** Switches the view and puts the focus where the keyboard goes on. @param {"sign-in" | "rooms" | "room"} view */
function show(view) {
  document.body.dataset["view"] = view;
  page.signIn.hidden = view !== "sign-in";
  page.app.hidden = view === "sign-in";
  page.welcome.hidden = view !== "rooms";
  page.room.hidden = view !== "room";
  countUnread(0);
  if (view === "sign-in") page.signInName.focus();
  if (view === "rooms") page.roomsHeading.focus();
  if (view === "room") (hasKeyboard.matches ? page.composer : page.roomTitle).focus();
}

/** Writes into the tab's title which room this is and how much was said there unseen. @param {number} count */
function countUnread(count) {
  unread = count;
  document.title = `${count > 0 ? `(${count}) ` : ""}${connection ? `${connection.room} · ` : ""}${TITLE}`;
}

/** Ends the session on this page and tells why. @param {string} reason */
function backToSignIn(reason) {
  const identity = session.identity;
  const lost = leaveRoom();
  session.forget();
  page.signInName.value = identity?.name ?? "";
  route();
  fault(page.signInName, page.signInError, [reason, lost].filter(Boolean).join(" "));
}

// The room

/** Enters a room with an empty page. @param {string} room @param {User} me */
function enterRoom(room, me) {
  timeline.reset(me);
  people.reset(me.user_id, []);
  page.roomTitle.textContent = page.roomTitle.title = room;
  page.composer.value = "";
  grow();
  hint("");
  togglePeople(wide.matches);
  connection = new RoomConnection({
    room,
    session,
    config,
    handlers: {
      onStatus(status) {
        statusBar.show(status);
        if (status.state === "online" || status.state === "slowed") return;
        delete document.body.dataset["connectionId"];
        people.forgetTypists();
      },
      onEnter: (entry) => entered(entry, me),
      onMessage(message) {
        if (message.type === "chat_message") people.stopTyping(message.user_id);
        timeline.add(message);
        if (document.visibilityState === "hidden") countUnread(unread + 1);
      },
      onJoin(user) {
        if (people.add(user)) timeline.notice([name(user.name), " came in"], "presence");
      },
      onLeave(user) {
        if (people.remove(user)) timeline.notice([name(user.name), " left"], "presence");
      },
      onTyping(user, isTyping) {
        if (isTyping) people.startTyping(user);
        else people.stopTyping(user.user_id);
      },
      onRefused: (id, reason) => timeline.fail(id, reason, send),
      onWarning: hint,
      onSignedOut: backToSignIn,
    },
  });
}

/** Takes in what the room tells on entering and on each return. @param {Entry} entry @param {User} me */
function entered({ connectionId, users, away, complete, messages }, me) {
  document.body.dataset["connectionId"] = connectionId;
  people.reset(me.user_id, users);
  const isOthers = (/** @type {RoomMessage} */ message) =>
    message.type === "system_message" || message.user_id !== me.user_id;
  if (!complete) {
    timeline.notice(["Some messages from while you were away could not be recovered"], "gap");
  } else if (away && messages.some(isOthers)) {
    timeline.notice(["While you were away"], "divider");
  }
  for (const message of messages) timeline.add(message);
}

/** Leaves the room, if any. Gives a sentence about messages that are lost by it, which the rooms view shows too. */
function leaveRoom() {
  const left = connection;
  connection = undefined;
  page.welcomeNotice.replaceChildren();
  if (!left) return "";
  const count = left.unsent;
  left.close();
  statusBar.reset();
  people.forgetTypists();
  delete document.body.dataset["connectionId"];
  if (count === 0) return "";
  const lost = count === 1 ? "1 message was not sent" : `${count} messages were not sent`;
  page.welcomeNotice.append(`${lost} to `, quoted(left.room), ".");
  return page.welcomeNotice.textContent ?? "";
}

/** Opens or closes the panel of people. @param {boolean} open */
function togglePeople(open) {
  page.peoplePanel.hidden = !open;
  page.peopleToggle.setAttribute("aria-expanded", String(open));
}

// The composer

/** Sends what is written, unless too much waits already. */
function sendComposed() {
  const text = page.composer.value.trim(); // as the server does, so that the pending text is the delivered one
  if (text === "" || !send(text)) return;
  page.composer.value = "";
  grow();
  hint("");
}

/** Sends a text and shows it as pending. Says so and gives false when too many wait already. @param {string} text */
function send(text) {
  if (!connection) return false;
  const id = connection.send(text);
  if (id === undefined) {
    hint(`${OUTBOX_LIMIT} messages are waiting to be sent. Wait for the connection before you write more.`);
    return false;
  }
  timeline.addPending(id, text);
  return true;
}

/** Lets the field grow with the text by way of a hidden copy of it, and tells when the text nears the limit. */
function grow() {
  const { value } = page.composer;
  const left = config.max_message - value.length;
  page.composerGrow.dataset["copy"] = value;
  page.composerGrow.dataset["left"] = left <= config.max_message / 10 ? String(left) : "";
}

/** Says something about the message that is being written, for a while. @param {string} text */
function hint(text) {
  clearTimeout(hintTimer);
  page.composerHint.textContent = text;
  if (text !== "") hintTimer = setTimeout(() => hint(""), HINT_LASTS);
}

// Small helpers

/**
 * Marks a field as wrong, or as right again with an empty text.
 * @param {HTMLElement} field
 * @param {HTMLElement} line
 * @param {string} text
 */
function fault(field, line, text) {
  line.textContent = text;
  if (text === "") field.removeAttribute("aria-invalid");
  else field.setAttribute("aria-invalid", "true");
}

/**
 * Finds a part of the page, and fails at once if the document and this module have grown apart.
 * @template {HTMLElement} Part
 * @param {string} id
 * @param {new () => Part} type
 */
function byId(id, type) {
  const part = document.getElementById(id);
  if (part instanceof type) return part;
  throw new TypeError(`The page has no #${id}`);
}

/** Takes the intervals and limits from the server; without an answer the page's own hold. */
async function loadConfig() {
  try {
    const response = await fetch("/chat/config", { signal: AbortSignal.timeout(CONFIG_TIMEOUT) });
    if (response.ok) config = { ...config, .../** @type {ChatConfig} */ (await response.json()) };
  } catch {
    // asked for again by the next reload
  }
  page.composer.maxLength = config.max_message;
}

// What the controls do

page.signInForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  const wanted = page.signInName.value.trim();
  if (wanted === "") {
    fault(page.signInName, page.signInError, "Please choose a name.");
    return page.signInName.focus();
  }
  if (signingIn) return;
  signingIn = true;
  page.signInSubmit.setAttribute("aria-disabled", "true");
  try {
    await session.signIn(wanted);
    fault(page.signInName, page.signInError, "");
    page.signInName.value = "";
    route();
  } catch (error) {
    if (!(error instanceof SignInError)) throw error;
    fault(page.signInName, page.signInError, error.message);
    page.signInName.focus();
  } finally {
    signingIn = false;
    page.signInSubmit.removeAttribute("aria-disabled");
  }
});

page.signInName.addEventListener("input", () => fault(page.signInName, page.signInError, ""));

page.signOut.addEventListener("click", async () => {
  leaveRoom();
  history.pushState(null, "", location.pathname);
  const done = session.signOut();
  route();
  await done;
});

page.roomForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const room = page.roomName.value.trim();
  const error = roomNameError(room);
  fault(page.roomName, page.roomError, error ?? "");
  if (error !== undefined) return page.roomName.focus();
  page.roomName.value = "";
  location.hash = addressOf(room);
});

page.roomName.addEventListener("input", () => fault(page.roomName, page.roomError, ""));

page.leaveRoom.addEventListener("click", () => {
  history.pushState(null, "", location.pathname);
  route();
});

page.reconnect.addEventListener("click", () => {
  connection?.reconnect();
  page.composer.focus();
});

page.peopleToggle.addEventListener("click", () => {
  togglePeople(page.peoplePanel.hidden !== false);
  if (!page.peoplePanel.hidden && !wide.matches) page.peopleHeading.focus();
});

page.composerForm.addEventListener("submit", (event) => {
  event.preventDefault();
  sendComposed();
  page.composer.focus();
});

page.composer.addEventListener("keydown", (event) => {
  // Enter also ends the composition of a Japanese or Chinese word; Safari then says so only by the code 229.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  sendComposed();
});

page.composer.addEventListener("input", () => {
  grow();
  connection?.typing(page.composer.value !== "");
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || wide.matches || page.peoplePanel.hidden) return;
  togglePeople(false);
  page.peopleToggle.focus();
});

document.addEventListener("pointerdown", ({ target }) => {
  if (wide.matches || page.peoplePanel.hidden || !(target instanceof Node)) return;
  if (!page.peoplePanel.contains(target) && !page.peopleToggle.contains(target)) togglePeople(false);
});

document.addEventListener("visibilitychange", () => countUnread(0));

wide.addEventListener("change", () => togglePeople(wide.matches));

// Fires for links, for the back button and for addresses typed by hand; each pushState above calls route() itself.
window.addEventListener("hashchange", route);

window.addEventListener("beforeunload", (event) => {
  if (connection && connection.unsent > 0) event.preventDefault();
});

await loadConfig();
route();
