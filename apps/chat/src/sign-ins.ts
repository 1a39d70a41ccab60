/**
 * Who is signed in, and the tokens that prove it.
 *
 * @module
 */
import type { Clock, Connection } from "@vel/core";
import { jwtVerify, SignJWT } from "jose";
import { nanoid } from "nanoid";
import { foldName } from "./names.ts";
import { limits } from "./settings.ts";

/** Somebody who is signed in: one subject from sign-in to sign-out. */
export interface SignIn {
  readonly userId: string;
  readonly name: string;
  /** The connections that came with this sign-in's tokens. */
  readonly connections: Set<Connection>;
  /** When the last token that was given out expires, in milliseconds since the epoch. */
  expiresAt: number;
}

/** A token, and whose it is. */
export interface Grant {
  readonly token: string;
  readonly signIn: SignIn;
}

const issuer = "vel-chat";
const algorithm = "HS256";
const signedOut = "Signed out";

/**
 * The people who are signed in, each under a name that nobody else holds meanwhile.
 *
 * A sign-in ends by signing out, or when its last token has expired and it has no connection; nobody watches a clock
 * for that, whoever asks for the name finds out.
 */
export class SignIns {
  /** How long a token is valid, in milliseconds. */
  readonly lifetime: number;
  readonly #secret: Uint8Array;
  readonly #clock: Clock;
  readonly #byId = new Map<string, SignIn>();
  readonly #byName = new Map<string, SignIn>();
  /** Who has signed out, until the last token has expired: a token must not bring them back. */
  readonly #ended = new Map<string, number>();

  constructor(options: { secret: Uint8Array; lifetime: number; clock: Clock }) {
    if (options.secret.byteLength < 32) throw new RangeError("The chat's secret must have at least 32 bytes");
    this.#secret = options.secret;
    this.lifetime = options.lifetime;
    this.#clock = options.clock;
  }

  /** Whether there are as many people as can be. */
  get isFull(): boolean {
    return this.#byId.size >= limits.people;
  }

  /** Signs somebody in; undefined when the name is held by somebody, or the chat is full. */
  signIn(name: string): Promise<Grant> | undefined {
    // Taken at once, before anything is awaited: of two who ask for a name at the same time, one gets it.
    const signIn = this.#take(nanoid(), name);
    return signIn && this.#grant(signIn);
  }

  /** Gives a fresh token for a valid one; undefined when it is not. */
  async renew(token: string): Promise<Grant | undefined> {
    const signIn = await this.find(token);
    return signIn && this.#grant(signIn);
  }

  /** Finds who a token belongs to; undefined when it is not valid, whatever the cause. */
  async find(token: string): Promise<SignIn | undefined> {
    const verified = await jwtVerify(token, this.#secret, {
      algorithms: [algorithm],
      issuer,
      audience: issuer,
      requiredClaims: ["exp", "sub"],
      currentDate: new Date(this.#clock.wall()),
    }).catch(() => undefined);
    const { sub, name, exp } = verified?.payload ?? {};
    if (typeof sub !== "string" || typeof name !== "string" || exp === undefined) return undefined;
    const known = this.#byId.get(sub);
    if (known || this.#ended.has(sub)) return known;
    // From before a restart with the same secret. Whoever took the name meanwhile keeps it.
    const again = this.#take(sub, name);
    if (again) again.expiresAt = exp * 1000;
    return again;
  }

  /** Ends a sign-in: its name is free, its tokens are worth nothing, and its connections are closed. */
  signOut(signIn: SignIn): void {
    if (!this.#isCurrent(signIn)) return; // asked twice at once, and somebody else may have the name by now
    this.#drop(signIn);
    const now = this.#clock.wall();
    // A token that is being made at this moment counts too.
    this.#ended.set(signIn.userId, Math.max(signIn.expiresAt, now + this.lifetime + 1_000));
    // The oldest stand first, so looking on would find nothing more: it costs as much as there is to forget.
    for (const [userId, expiresAt] of this.#ended) {
      if (expiresAt > now) break;
      this.#ended.delete(userId);
    }
    for (const connection of [...signIn.connections]) connection.close(4409, signedOut);
  }

  /**
   * Keeps a sign-in alive for as long as the connection is open. When it is over already, since the handshake took its
   * time, the connection is closed and the answer is false.
   */
  attach(signIn: SignIn, connection: Connection): boolean {
    if (!this.#isCurrent(signIn)) {
      connection.close(4409, signedOut);
      return false;
    }
    signIn.connections.add(connection);
    connection.onClosing(() => signIn.connections.delete(connection));
    return true;
  }

  #take(userId: string, name: string): SignIn | undefined {
    const folded = foldName(name);
    const holder = this.#byName.get(folded);
    if (holder) {
      if (!this.#isOver(holder)) return undefined;
      this.#drop(holder);
    }
    if (this.isFull) for (const signIn of this.#byId.values()) if (this.#isOver(signIn)) this.#drop(signIn);
    if (this.isFull) return undefined;
    const signIn: SignIn = { userId, name, connections: new Set(), expiresAt: this.#clock.wall() + this.lifetime };
    this.#byId.set(userId, signIn);
    this.#byName.set(folded, signIn);
    return signIn;
  }

  #isCurrent(signIn: SignIn): boolean {
    return this.#byId.get(signIn.userId) === signIn;
  }

  #isOver(signIn: SignIn): boolean {
    return signIn.connections.size === 0 && signIn.expiresAt <= this.#clock.wall();
  }

  #drop(signIn: SignIn): void {
    this.#byId.delete(signIn.userId);
    this.#byName.delete(foldName(signIn.name));
  }

  async #grant(signIn: SignIn): Promise<Grant> {
    const now = Math.floor(this.#clock.wall() / 1000);
    const expires = now + Math.ceil(this.lifetime / 1000);
    signIn.expiresAt = expires * 1000;
    const token = await new SignJWT({ name: signIn.name })
      .setProtectedHeader({ alg: algorithm })
      .setSubject(signIn.userId)
      .setIssuer(issuer)
      .setAudience(issuer)
      .setIssuedAt(now)
      .setExpirationTime(expires)
      .sign(this.#secret);
    return { token, signIn };
  }
}
