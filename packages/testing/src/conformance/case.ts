/**
 * What a conformance case is made of.
 *
 * @module
 */
import type { Trial } from "./trial.ts";

/** What a case may ask of an adapter: to have it, or to lack it. */
export interface Traits {
  readonly ping: boolean;
  readonly terminate: boolean;
  readonly compression: boolean;
  readonly pause: boolean;
  readonly buffered: boolean;
  /** Whether core's own limit on messages is the only one. */
  readonly freeMaxPayload: boolean;
  /** Whether there are sockets: bytes on a network. */
  readonly sockets: boolean;
}

/** One case. */
export interface ConformanceCase {
  /** `group: what happens`, its identity in tables and deviations. */
  readonly name: string;
  /** What it takes; where an adapter differs in one of them, the case says nothing of it. */
  readonly needs?: Partial<Traits>;
  /** The case that shows what happens where {@link ConformanceCase.needs} are not met. */
  readonly otherwise?: string;
  /** Throws when the adapter does not conform. */
  readonly run: (trial: Trial) => Promise<void>;
}
