// @ts-check
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
const KEY = `vel-metrics ${location.pathname}`;
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
          : `Too many wrong tokens came from your network. Try again in ${format.duration(Math.ceil(retryAfter / 1_000) * 1_000)}.`,
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
        if (connectionDialog.isOpen) connectionDialog.say(`${message.text}.`);
        if (roomDialog.isOpen) roomDialog.say(`${message.text}.`);
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
