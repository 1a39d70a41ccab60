// @ts-check
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
