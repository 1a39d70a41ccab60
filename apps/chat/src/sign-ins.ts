/**
 * Who is signed in, and the tokens that prove it.
 *
 * @module
 */
import type { JwtHandler, JwtOptionsBase } from "@vel/auth";
import type { Clock, StandardSchemaV1 } from "@vel/core";
import { nanoid } from "nanoid";
import { foldName } from "./names.ts";
import { limits } from "./settings.ts";

/** What a token of the chat says. */
export interface Claims {
  readonly sub: string;
  readonly name: string;
  /** In seconds since the epoch. */
  readonly exp: number;
}

/** Somebody who is signed in: one subject from sign-in to sign-out. */
export interface SignIn {
  readonly userId: string;
  readonly name: string;
  /** When the last token that was given out expires, in milliseconds since the epoch. */
  expiresAt: number;
}

/** A token, and whose it is. */
export interface Grant {
  readonly token: string;
  readonly signIn: SignIn;
}

/** Checks what must be in a token besides what every token must have. */
const claims: StandardSchemaV1<unknown, Claims> = {
  "~standard": {
    version: 1,
    vendor: "vel-chat",
    validate(value) {
      const { sub, name, exp } = value as Partial<Record<keyof Claims, unknown>>;
      return typeof sub === "string" && typeof name === "string" && typeof exp === "number"
        ? { value: { sub, name, exp } }
        : { issues: [{ message: "A token of the chat has a subject, a name and an end" }] };
    },
  },
};

/** Which tokens are the chat's. */
export const tokenRules = {
  algorithms: ["HS256"],
  issuer: "vel-chat",
  audience: "vel-chat",
  claims,
  clockTolerance: 0, // who verifies a token has signed it, by the same clock
} as const satisfies JwtOptionsBase<Claims>;

/**
 * The people who are signed in, each under a name that nobody else holds meanwhile.
 *
 * A sign-in ends by signing out, or when its last token has expired: no connection lives longer than the token that it
 * came with or was given since. Nobody watches a clock for that, whoever asks for the name finds out.
 */
export class SignIns {
  /** How long a token is valid, in milliseconds. */
  readonly lifetime: number;
  readonly #jwt: JwtHandler<Claims>;
  readonly #clock: Clock;
  readonly #byId = new Map<string, SignIn>();
  readonly #byName = new Map<string, SignIn>();

  constructor(options: { jwt: JwtHandler<Claims>; lifetime: number; clock: Clock }) {
    this.lifetime = options.lifetime;
    this.#jwt = options.jwt;
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
    const found = await this.#jwt.verify(token).catch(() => undefined);
    return found && this.of(found);
  }

  /** Finds who a token that was verified belongs to. */
  of({ sub, name, exp }: Claims): SignIn | undefined {
    const known = this.#byId.get(sub);
    if (known) return known;
    // From before a restart with the same secret. Whoever took the name meanwhile keeps it.
    const again = this.#take(sub, name);
    if (again) again.expiresAt = exp * 1000;
    return again;
  }

  /** Ends a sign-in: its name is free, its tokens are worth nothing, and its connections are closed. */
  signOut(signIn: SignIn): void {
    if (this.#byId.get(signIn.userId) === signIn) this.#drop(signIn);
    // For as long as a token can live, one that is being made at this moment too.
    this.#jwt.revoke({ subject: signIn.userId }, { keepFor: this.lifetime + 2_000 });
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
    const signIn: SignIn = { userId, name, expiresAt: this.#clock.wall() + this.lifetime };
    this.#byId.set(userId, signIn);
    this.#byName.set(folded, signIn);
    return signIn;
  }

  #isOver(signIn: SignIn): boolean {
    return signIn.expiresAt <= this.#clock.wall();
  }

  #drop(signIn: SignIn): void {
    this.#byId.delete(signIn.userId);
    this.#byName.delete(foldName(signIn.name));
  }

  async #grant(signIn: SignIn): Promise<Grant> {
    const { userId, name } = signIn;
    // A token counts in whole seconds, and a name must not be free before it has expired.
    signIn.expiresAt = Math.ceil((this.#clock.wall() + this.lifetime) / 1000) * 1000;
    const token = await this.#jwt.sign({ name }, { subject: userId, expiresIn: this.lifetime });
    return { token, signIn };
  }
}
