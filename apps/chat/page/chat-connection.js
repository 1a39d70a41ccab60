// @ts-check
/**
 * One room over one WebSocket at a time: notices when the connection breaks, returns on a new one, asks for what was
 * missed and sends again what the server has not echoed. Shows the server each fresh token. Knows nothing of the document.
 */

import { Outbox } from "./chat-outbox.js";
import { Session } from "./chat-session.js";

/** @typedef {import("./chat-session.js").Renewal} Renewal */
/** @typedef {{ user_id: string, name: string }} User */
/**
 * @typedef {{ type: "chat_message", user_id: string, name: string, message: string, timestamp: string, seq: number,
 *   id?: string }} ChatMessage
 */
/** @typedef {{ type: "system_message", message: string, timestamp: string, seq: number }} SystemMessage */
/** @typedef {ChatMessage | SystemMessage} RoomMessage */
/**
 * @typedef {{ type: "room_info", connection_id: string, users: User[], epoch: string, seq: number,
 *   messages: RoomMessage[], complete: boolean }} RoomInfo
 */
/**
 * @typedef {RoomInfo | RoomMessage | (User & { type: "user_joined" | "user_left" })
 *   | (User & { type: "user_typing", is_typing: boolean }) | { type: "ping" } | { type: "pong" }
 *   | { type: "auth_ok", expires_in: number }
 *   | { type: "error", code: string, message: string, id?: string, retry_after?: number }} ServerFrame
 */
/** @typedef {{ ping_interval: number, pong_timeout: number, max_message: number }} ChatConfig */
/**
 * What the page shows. `offline` lasts from the break until the room has answered on a new connection, `slowed` until no
 * own message waits any more for the pace that the server wants.
 * @typedef {{ state: "connecting" | "online" | "slowed" } | { state: "offline", retryAt: number | undefined }
 *   | { state: "stopped", reason: string }} ConnectionStatus
 */
/**
 * What the room told on entering; `away` says whether the page had shown that the connection was lost.
 * @typedef {{ connectionId: string, users: User[], away: boolean, complete: boolean, messages: RoomMessage[] }} Entry
 */
/**
 * What a connection tells its owner.
 * @typedef {object} ConnectionHandlers
 * @property {(status: ConnectionStatus) => void} onStatus the connection changed
 * @property {(entry: Entry) => void} onEnter the room answered; `messages` are new to the page and in order
 * @property {(message: RoomMessage) => void} onMessage somebody said something, or the echo of an own message
 * @property {(user: User) => void} onJoin somebody came
 * @property {(user: User) => void} onLeave somebody went
 * @property {(user: User, isTyping: boolean) => void} onTyping somebody else types, or no longer does
 * @property {(id: string, reason: string) => void} onRefused the server will not deliver the own message `id`
 * @property {(text: string) => void} onWarning the server complains about something that is no message
 * @property {(reason: string) => void} onSignedOut the identity no longer opens the room
 */

const BACKOFF_BASE = 500;
const BACKOFF_CAP = 15_000;
const STABLE_AFTER = 5_000;
const ENTER_TIMEOUT = 10_000;
const TYPING_EVERY = 2_000;
const TYPING_IDLE = 4_000;

/** Close codes after which coming back would only be refused again, besides all from 4500 on. */
const FINAL_CODES = new Map([
  [1000, "The server has closed this room for you."],
  [1009, "The server refused something as too large."],
  [4003, "You may not enter this room."],
  [4400, "There can be no room of this name."],
  [4403, "You may not enter this room."],
  [4404, "There is no such room."],
  ...[1002, 1003, 1007, 1008].map((code) => /** @type {const} */ ([code, undefined])),
]);

/** Keeps the page in one room until {@link close}. */
export class RoomConnection {
  /** @type {Session} */
  #session;
  /** @type {ChatConfig} */
  #config;
  /** @type {ConnectionHandlers} */
  #handlers;
  #lifetime = new AbortController();

  /** The one socket that may deliver; a socket that is not this one is stale. @type {WebSocket | undefined} */
  #socket;
  /** Counts attempts, so that one overtaken while it waited for a token gives up. */
  #attempt = 0;
  #online = false;
  #onlineSince = 0;
  #failures = 0;
  #renewedAfterRefusal = false;
  /** Whether the page shows that the connection is lost. */
  #away = false;
  /** The token that the server has accepted on this socket. @type {string | undefined} */
  #token;

  /** @type {string | undefined} */
  #epoch;
  #lastSeq = 0;
  #lastHeard = 0;

  #outbox = new Outbox({
    transmit: (frame) => this.#transmit(frame),
    onPace: (isSlowed) => this.#handlers.onStatus({ state: isSlowed ? "slowed" : "online" }),
  });

  #typingReportedAt = 0;

  /** @type {Partial<Record<"retry" | "enter" | "ping" | "silence" | "typing", ReturnType<typeof setTimeout>>>} */
  #timers = {};

  /**
   * Starts to connect at once.
   * @param {{ room: string, session: Session, config: ChatConfig, handlers: ConnectionHandlers }} options
   */
  constructor({ room, session, config, handlers }) {
    this.room = room;
    this.#session = session;
    this.#config = config;
    this.#handlers = handlers;
    const { signal } = this.#lifetime;
    window.addEventListener("online", () => this.#wake({ restart: true }), { signal });
    window.addEventListener("offline", () => this.#probe(), { signal });
    document.addEventListener(
      "visibilitychange",
      () => {
        if (document.visibilityState === "visible") this.#wake({ restart: false });
      },
      { signal },
    );
    handlers.onStatus({ state: "connecting" });
    void this.#connect();
  }

  /** How many own messages the server has not echoed yet. */
  get unsent() {
    return this.#outbox.size;
  }

  /**
   * Sends a message now or after the return. Gives its id, or undefined when too many wait already.
   * @param {string} message
   * @param {string} [id] that of a refused message which is tried again
   */
  send(message, id = randomId()) {
    if (!this.#outbox.add(id, message)) return undefined;
    // What is said is typed no longer: everybody's page knows, nobody needs to tell.
    clearTimeout(this.#timers.typing);
    this.#typingReportedAt = 0;
    return id;
  }

  /**
   * Reports that the user types: at most every 2 s, and that it ended after 4 s without a key.
   * @param {boolean} isTyping
   */
  typing(isTyping) {
    clearTimeout(this.#timers.typing);
    if (this.#outbox.isHeld) return; // messages come first
    if (isTyping) {
      this.#timers.typing = setTimeout(() => this.typing(false), TYPING_IDLE);
      if (performance.now() - this.#typingReportedAt < TYPING_EVERY && this.#typingReportedAt > 0) return;
      if (this.#transmit({ type: "typing", is_typing: true })) this.#typingReportedAt = performance.now();
    } else if (this.#typingReportedAt > 0) {
      this.#typingReportedAt = 0;
      this.#transmit({ type: "typing", is_typing: false });
    }
  }

  /** Shows the server a fresh token, so that the connection outlives the one that it came with. */
  authenticate() {
    const token = this.#session.identity?.token;
    if (token !== undefined && token !== this.#token) this.#transmit({ type: "auth", token });
  }

  /** Connects at once, whatever the page was waiting for: the user asked for it. */
  reconnect() {
    this.#failures = 0;
    this.#tellOffline(undefined);
    void this.#connect();
  }

  /** Leaves the room for good. */
  close() {
    this.typing(false);
    this.#lifetime.abort();
    this.#release(1000);
  }

  /** Opens a new socket with a token that is good for a while; the old socket is released first. */
  async #connect() {
    this.#release();
    const attempt = this.#attempt;
    if (this.#session.nearExpiry) {
      const renewal = await this.#session.renew();
      if (attempt !== this.#attempt) return;
      if (renewal === "refused") return this.#handlers.onSignedOut("Your session has expired. Please sign in again.");
      if (renewal === "unreachable") return this.#retry();
    }
    const token = this.#session.identity?.token;
    if (token === undefined) return; // signed out: whoever did that closes this connection too
    // As a subprotocol, since a browser sets no headers here; in the URL it would end up in the logs of proxies.
    const socket = new WebSocket(this.#url(), ["bearer", token]);
    this.#token = token;
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      this.#lastHeard = performance.now();
      clearTimeout(this.#timers.silence);
      delete this.#timers.silence;
      const frame = readFrame(data);
      if (frame) this.#receive(frame);
    };
    socket.onclose = ({ code, reason }) => {
      if (socket === this.#socket) void this.#closed(code, reason);
    };
    this.#timers.enter = setTimeout(() => this.#retry(), ENTER_TIMEOUT);
  }

  /** The address of the room, with the place to resume from once the page has been in it. */
  #url() {
    const url = new URL(`/ws/chat/${encodeURIComponent(this.room)}`, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    if (this.#epoch !== undefined) {
      url.searchParams.set("since", String(this.#lastSeq));
      url.searchParams.set("epoch", this.#epoch);
    }
    return url.href;
  }

  /** Lets go of the socket so that nothing of it reaches the page again, and stops every timer. @param {number} [code] */
  #release(code) {
    this.#attempt += 1;
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#timers = {};
    const socket = this.#socket;
    this.#socket = undefined;
    this.#online = false;
    this.#typingReportedAt = 0;
    this.#outbox.interrupt();
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close(code);
  }

  /**
   * Decides what a close code means: come back with a fresh token, stop, or come back later.
   * @param {number} code
   * @param {string} reason
   */
  async #closed(code, reason) {
    if (code === 4001 || code === 4401) return this.#renewAndReturn();
    if (code === 4429) return this.#retry(Number(/^retry after (\d{1,7}) ms$/.exec(reason)?.[1] ?? 0));
    if (FINAL_CODES.has(code) || code >= 4500) {
      this.#release();
      const reason = FINAL_CODES.get(code) ?? `The server ended the connection (code ${code}).`;
      return this.#handlers.onStatus({ state: "stopped", reason });
    }
    this.#retry();
  }

  /**
   * The token was refused or has expired: a fresh one is worth trying once, a second would only be refused again. It takes
   * a moment, of which nobody needs to hear.
   */
  async #renewAndReturn() {
    this.#release();
    const attempt = this.#attempt;
    const renewal = this.#renewedAfterRefusal ? "refused" : await this.#freshToken();
    if (attempt !== this.#attempt) return;
    if (renewal === "refused") return this.#handlers.onSignedOut("Your session has ended. Please sign in again.");
    if (renewal === "unreachable") return this.#retry();
    this.#renewedAfterRefusal = true;
    void this.#connect();
  }

  /** Renews the token, unless that was done already and the server has only not heard of it. @returns {Promise<Renewal>} */
  async #freshToken() {
    const token = this.#session.identity?.token;
    return token !== undefined && token !== this.#token ? "renewed" : this.#session.renew();
  }

  /**
   * Waits with exponential backoff and full jitter, so that a returning server is not met by everybody at once.
   * @param {number} [atLeast] what the server asks for, in ms
   */
  #retry(atLeast = 0) {
    if (this.#online && performance.now() - this.#onlineSince >= STABLE_AFTER) this.#failures = 0;
    this.#release();
    const delay = atLeast + Math.random() * Math.min(BACKOFF_CAP, BACKOFF_BASE * 2 ** this.#failures);
    this.#failures += 1;
    this.#timers.retry = setTimeout(() => {
      this.#tellOffline(undefined);
      void this.#connect();
    }, delay);
    this.#tellOffline(Date.now() + delay);
  }

  /** Has the page show that the connection is lost. @param {number | undefined} retryAt */
  #tellOffline(retryAt) {
    this.#away = true;
    this.#handlers.onStatus({ state: "offline", retryAt });
  }

  /**
   * The network or the user is back: ends a wait, restarts a stuck attempt when asked to, doubts a live connection.
   * @param {{ restart: boolean }} options
   */
  #wake({ restart }) {
    if (this.#online) return this.#probe();
    const waiting = this.#timers.retry !== undefined && this.#socket === undefined;
    if (waiting || (restart && this.#socket)) this.reconnect();
  }

  /** Pings out of turn and gives the server only the time of a pong to answer. */
  #probe() {
    if (this.#transmit({ type: "ping" })) this.#expectAnswer(this.#config.pong_timeout);
  }

  /** Pings in turn; silence since the last frame counts, but a late (throttled) ping still gets its time. */
  #ping() {
    const { ping_interval, pong_timeout } = this.#config;
    this.#transmit({ type: "ping" });
    const silentFor = performance.now() - this.#lastHeard;
    // While an earlier ping waits for its answer, another one must not put the end off.
    if (this.#timers.silence === undefined) {
      this.#expectAnswer(Math.max(pong_timeout, ping_interval + pong_timeout - silentFor));
    }
    this.#timers.ping = setTimeout(() => this.#ping(), ping_interval);
  }

  /** Gives the connection up unless any frame arrives within `delay`. @param {number} delay in ms */
  #expectAnswer(delay) {
    clearTimeout(this.#timers.silence);
    this.#timers.silence = setTimeout(() => this.#retry(), delay);
  }

  /** Sends a frame if the room is listening. @param {object} frame */
  #transmit(frame) {
    if (!this.#online || this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Takes one frame of the current socket. @param {ServerFrame} frame */
  #receive(frame) {
    switch (frame.type) {
      case "room_info":
        return this.#entered(frame);
      case "chat_message":
      case "system_message": {
        // The receipt for a message that was sent again is as old as the message: known is only what was shown.
        const isReceipt = frame.type === "chat_message" && this.#settle(frame);
        if (frame.seq <= this.#lastSeq && !isReceipt) return;
        this.#lastSeq = Math.max(this.#lastSeq, frame.seq);
        return this.#handlers.onMessage(frame);
      }
      case "user_joined":
        return this.#handlers.onJoin(frame);
      case "user_left":
        return this.#handlers.onLeave(frame);
      case "user_typing":
        return this.#handlers.onTyping(frame, frame.is_typing);
      case "auth_ok":
        this.#token = this.#session.identity?.token;
        return;
      case "error":
        if (frame.code === "unauthorized") return void this.#renewAndReturn();
        if (frame.code === "too_fast") return this.#outbox.hold(frame.retry_after ?? 0, () => this.authenticate());
        if (frame.id !== undefined && this.#outbox.settle(frame.id)) {
          return this.#handlers.onRefused(frame.id, frame.message);
        }
        return this.#handlers.onWarning(frame.message);
      case "ping":
        this.#transmit({ type: "pong" });
    }
  }

  /** The room answered: take what was missed, then send again whatever was not among it. @param {RoomInfo} info */
  #entered(info) {
    clearTimeout(this.#timers.enter);
    const known = info.epoch === this.#epoch ? this.#lastSeq : -Infinity;
    const messages = info.messages.filter(({ seq }) => seq > known).sort((a, b) => a.seq - b.seq);
    this.#epoch = info.epoch;
    this.#lastSeq = messages.at(-1)?.seq ?? info.seq;
    for (const message of messages) if (message.type === "chat_message") this.#settle(message);
    const away = this.#away;
    this.#away = false;
    this.#online = true;
    this.#onlineSince = performance.now();
    this.#renewedAfterRefusal = false;
    this.#handlers.onStatus({ state: "online" });
    this.#handlers.onEnter({
      connectionId: info.connection_id,
      users: info.users,
      away,
      complete: info.complete,
      messages,
    });
    this.#timers.ping = setTimeout(() => this.#ping(), this.#config.ping_interval);
    this.authenticate(); // renewed during the handshake, perhaps
    this.#outbox.sendNext();
  }

  /** The echo is the receipt: the message need not be sent again. Tells whether it waited. @param {ChatMessage} message */
  #settle({ id, user_id }) {
    return id !== undefined && user_id === this.#session.identity?.userId && this.#outbox.settle(id);
  }
}

/** Reads a frame; anything that is none is skipped. @param {unknown} data @returns {ServerFrame | undefined} */
function readFrame(data) {
  try {
    const frame = JSON.parse(String(data));
    return typeof frame?.type === "string" ? frame : undefined;
  } catch {
    return undefined;
  }
}

/** A message id; `crypto.randomUUID` would be missing on a phone that opens the demo over plain http. */
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
