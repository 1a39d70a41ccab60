/**
 * What a recipe is made of, and what recipes share with each other. Whoever serves them makes it, and closes it.
 *
 * @module
 */
import type { JwtHandler } from "@vel/auth";
import type { ChannelManager } from "@vel/channels";
import type { Vel } from "@vel/core";
import type { LiveSource } from "./live-source.ts";

/** What recipes share. */
export interface Parts {
  readonly manager: ChannelManager;
  readonly live: LiveSource;
  /** What knows the tokens of users. */
  readonly jwt: JwtHandler;
  /** What programs have to know. */
  readonly keys: readonly string[];
  /** What those who broadcast over HTTP have to know. */
  readonly secret: string;
  /** What those who read the metrics have to know. */
  readonly metricsToken: string;
}

/** Answers the HTTP requests of a recipe; undefined for all others. */
export type Fetch = (request: Request) => Response | undefined | Promise<Response | undefined>;

/** Adds its routes, and answers HTTP where it has something to say there. */
// eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- most recipes return nothing
export type Recipe = (vel: Vel, parts: Parts) => Fetch | void;

/** Tells what is asked for: `POST /broadcast/notification`. */
export function target({ method, url }: Request): string {
  return `${method} ${new URL(url).pathname}`;
}
