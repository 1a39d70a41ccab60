// @ts-check
/**
 * Who this tab is signed in as, and the token that proves it.
 *
 * The identity lives in `sessionStorage`: a reload stays signed in, another tab is somebody else.
 */

const STORAGE_KEY = "vel-chat-session";
const REQUEST_TIMEOUT = 10_000;
const RENEW_RETRY = 15_000;
const LONGEST_TIMER = 2 ** 31 - 1;

/** @typedef {{ token: string, userId: string, name: string, issuedAt: number, expiresAt: number }} Identity */
/** @typedef {{ token: string, user_id: string, name: string, expires_in: number }} SignInAnswer */
/** @typedef {"renewed" | "refused" | "unreachable"} Renewal */

/** A sign-in that the server refused or never saw; the message is fit to be shown. */
export class SignInError extends Error {}

/** Holds the identity of this tab and keeps its token fresh. */
export class Session {
  /** @type {Identity | undefined} */
  #identity = readIdentity();
  /** @type {Promise<Renewal> | undefined} */
  #renewal;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {() => void} */
  #onRenewed;
  /** @type {() => void} */
  #onLost;

  /**
   * Takes up the identity that a reload left behind, if any.
   * @param {{ onRenewed: () => void, onLost: () => void }} options `onRenewed` is called when there is a fresh token,
   *   `onLost` when the server no longer knows this identity
   */
  constructor({ onRenewed, onLost }) {
    this.#onRenewed = onRenewed;
    this.#onLost = onLost;
    this.#schedule();
  }

  /** The identity, or undefined while signed out. */
  get identity() {
    return this.#identity;
  }

  /** Whether so little of the token's life is left that it should be renewed before it is used. */
  get nearExpiry() {
    const identity = this.#identity;
    return identity !== undefined && Date.now() >= renewAt(identity);
  }

  /**
   * Asks the server for a name that nobody else holds.
   * @param {string} name
   */
  async signIn(name) {
    /** @type {Response} */
    let response;
    try {
      response = await post("/chat/sign-in", { body: { name } });
    } catch {
      throw new SignInError("The server cannot be reached. Try again in a moment.");
    }
    if (response.ok) return this.#take(await response.json());
    const answer = await response.json().catch(() => undefined);
    throw new SignInError(answer?.message ?? `The server answered with an error (${response.status}).`);
  }

  /** Exchanges the token for a fresh one; callers at the same time share one request. */
  renew() {
    this.#renewal ??= this.#renewOnce().finally(() => {
      this.#renewal = undefined;
    });
    return this.#renewal;
  }

  /** Frees the name and forgets the identity; an unreachable server frees the name by itself later. */
  async signOut() {
    const identity = this.#identity;
    this.forget();
    if (identity) await post("/chat/sign-out", { token: identity.token }).catch(() => undefined);
  }

  /** Forgets the identity without telling the server. */
  forget() {
    clearTimeout(this.#timer);
    this.#identity = undefined;
    storeIdentity(undefined);
  }

  /** Does the one request behind {@link renew}. @returns {Promise<Renewal>} */
  async #renewOnce() {
    const identity = this.#identity;
    if (!identity) return "refused";
    try {
      const response = await post("/chat/renew", { token: identity.token });
      if (this.#identity !== identity) return "refused"; // signed out meanwhile
      if (response.ok) {
        this.#take(await response.json());
        this.#onRenewed();
        return "renewed";
      }
      if (response.status === 401) return "refused";
    } catch {
      // not reachable: told apart from a refusal, which would sign the user out
    }
    return "unreachable";
  }

  /**
   * Makes the server's answer this tab's identity.
   * @param {SignInAnswer} answer
   */
  #take(answer) {
    const now = Date.now();
    this.#identity = {
      token: answer.token,
      userId: answer.user_id,
      name: answer.name,
      issuedAt: now,
      expiresAt: now + answer.expires_in,
    };
    storeIdentity(this.#identity);
    this.#schedule();
  }

  /** Sets the timer that renews the token in the middle of its life. */
  #schedule() {
    if (this.#identity) this.#renewIn(renewAt(this.#identity) - Date.now());
  }

  /**
   * Renews after `delay`, and keeps trying while the server is out of reach.
   * @param {number} delay in ms
   */
  #renewIn(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      async () => {
        const identity = this.#identity;
        const renewal = await this.renew();
        if (this.#identity !== identity) return; // renewed, or signed out meanwhile
        if (renewal === "unreachable") this.#renewIn(RENEW_RETRY);
        if (renewal === "refused") this.#onLost();
      },
      Math.min(Math.max(delay, 0), LONGEST_TIMER),
    );
  }
}

/**
 * The moment from which a token is renewed before use.
 * @param {Identity} identity
 */
function renewAt(identity) {
  return (identity.issuedAt + identity.expiresAt) / 2;
}

/**
 * Posts JSON, with the token when there is one.
 * @param {string} path
 * @param {{ token?: string, body?: unknown }} options
 */
function post(path, { token, body }) {
  const headers = new Headers();
  if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
  if (body !== undefined) headers.set("content-type", "application/json");
  return fetch(path, {
    method: "POST",
    headers,
    body: body === undefined ? null : JSON.stringify(body),
    signal: AbortSignal.timeout(REQUEST_TIMEOUT),
  });
}

/** Reads what a reload left behind; a browser may forbid storage altogether. @returns {Identity | undefined} */
function readIdentity() {
  try {
    const text = sessionStorage.getItem(STORAGE_KEY);
    return text === null ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Leaves the identity for a reload to find.
 * @param {Identity | undefined} identity
 */
function storeIdentity(identity) {
  try {
    if (identity) sessionStorage.setItem(STORAGE_KEY, JSON.stringify(identity));
    else sessionStorage.removeItem(STORAGE_KEY);
  } catch {
    // without storage the page works until it is reloaded
  }
}
