/** A server and a handler in one clock, and what must be left of them after each test: nothing. */
import { expect } from "vitest";
import { createVel, type Measurable, type StandardSchemaV1, type Vel, type VelOptions } from "@vel/core";
import { connect, ManualClock, settle, type TestClient } from "@vel/testing";
import { JwtHandler, type JwtClaims, type JwtOptionsBase } from "@vel/auth";
import { goodToken, now, secret } from "./tokens.ts";

export { goodToken, now };

export interface World<Claims = JwtClaims> {
  readonly clock: ManualClock;
  readonly vel: Vel;
  readonly jwt: JwtHandler<Claims>;
  /** What `onError` of both was told: a test that expects something takes it out. */
  readonly errors: unknown[];
}

const worlds: (Omit<World, "jwt"> & { jwt: Pick<JwtHandler, "measure" | "close"> })[] = [];

/** Makes a server and a handler for tokens of {@link goodToken} with `HS256`. */
export function makeWorld<Claims = JwtClaims>(
  options: Partial<JwtOptionsBase<Claims>> & { vel?: VelOptions } = {},
): World<Claims> {
  const { vel, ...jwt } = options;
  const clock = new ManualClock();
  const errors: unknown[] = [];
  const onError = (error: unknown): void => void errors.push(error);
  const world: World<Claims> = {
    clock,
    errors,
    vel: createVel({ clock, onError, ...vel }),
    jwt: new JwtHandler<Claims>({ algorithms: ["HS256"], secret, clock, onError, ...jwt }),
  };
  worlds.push(world);
  return world;
}

/** Ends all worlds of a test. */
export async function endWorlds(): Promise<void> {
  for (const { vel, jwt, clock, errors } of worlds.splice(0)) {
    await vel.close();
    await settle();
    expect(vel.connections.size).toBe(0);
    expect(sample(jwt, "vel_auth_sessions")).toBe(0);
    expect(clock.pending, "before the handler was closed").toBe(0);
    jwt.close();
    expect(errors).toEqual([]);
  }
}

/** Reads one number; 0 when it was not counted. */
export function sample(source: Measurable, name: string, labels: Readonly<Record<string, string>> = {}): number {
  const isIt = (each: { name: string; labels?: Readonly<Record<string, string>> }): boolean =>
    each.name === name && Object.entries(labels).every(([label, value]) => each.labels?.[label] === value);
  return [...source.measure()].filter(isIt).reduce((sum, { value }) => sum + Number(value), 0);
}

/** The header that shows a token. */
export function bearer(token: string): { headers: { authorization: string } } {
  return { headers: { authorization: `Bearer ${token}` } };
}

/** Connects as programs do. */
export function connectWith(vel: Vel, token: string, path = "/ws"): Promise<TestClient> {
  return connect(vel, path, bearer(token));
}

/** A promise and its ends. */
export function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((each) => (resolve = each));
  return { promise, resolve };
}

/** A schema that lets all claims pass, or none, as soon as `gate` says so. */
export function slowClaims(gate: () => Promise<unknown>, isGood = true): StandardSchemaV1<unknown, JwtClaims> {
  return {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: async (value) => {
        await gate();
        return isGood ? { value: value as JwtClaims } : { issues: [{ message: "no" }] };
      },
    },
  };
}
