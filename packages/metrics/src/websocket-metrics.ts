/**
 * The numbers of a WebSocket server in one place.
 *
 * @module
 */
import {
  logError,
  systemClock,
  report,
  type Clock,
  type ErrorContext,
  type Measurable,
  type Measurement,
  type Unsubscribe,
} from "@vel/core";
import { collect, type Family } from "./collection.ts";
import { HandCount } from "./hand-count.ts";
import { prometheusText } from "./prometheus.ts";
import { Rate } from "./rate.ts";
import { snapshotOf, sumOf, type MetricsSnapshot } from "./snapshot.ts";

/** Settings of {@link WebSocketMetrics}. */
export interface MetricsOptions {
  /** Over how many milliseconds messages a second are an average. Default: 60,000. */
  window?: number;
  /** Default: core's `systemClock`. */
  clock?: Clock;
  /**
   * Is told of sources that throw, and of readings that cannot be written or added up (stage `measure`); all others are
   * read all the same. Default: core's `logError`.
   */
  onError?: (error: unknown, context: ErrorContext) => void;
}

/**
 * Collects what servers and features measure, and counts by hand what nobody measures.
 *
 * Nothing is done for a message: the counters are the connections' own, read when somebody asks.
 *
 * @example
 * import { createVel } from "@vel/core";
 * import { WebSocketMetrics } from "@vel/metrics";
 *
 * const vel = createVel();
 * const metrics = new WebSocketMetrics();
 * metrics.observe(vel);
 * console.log(metrics.getActiveConnections(), metrics.prometheus());
 */
export class WebSocketMetrics implements Measurable {
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #hand: HandCount;
  /** What was given to each call of {@link WebSocketMetrics.observe}. */
  readonly #observed = new Set<readonly Measurable[]>();
  readonly #received: Rate;
  readonly #sent: Rate;

  /** @throws {RangeError} When the window is not a positive number. */
  constructor(options: MetricsOptions = {}) {
    const { window = 60_000, clock = systemClock, onError = logError } = options;
    if (!(window > 0 && window < Infinity)) {
      throw new RangeError(`Option "window" must be a positive number, got ${String(window)}`);
    }
    this.#clock = clock;
    this.#onError = (error) => {
      report(onError, error, { stage: "measure" });
    };
    this.#hand = new HandCount(clock);
    this.#received = new Rate(window, clock.now());
    this.#sent = new Rate(window, clock.now());
    this.#read(this.#hand);
  }

  /**
   * Reads these from now on: a server, rooms, channels, heartbeats, a pool, limits, tokens. What is observed twice counts
   * once. What a source has counted before is in the numbers at once, and goes with it.
   *
   * @returns What stops that.
   */
  observe(...sources: readonly Measurable[]): Unsubscribe {
    this.#observed.add(sources);
    for (const source of sources) this.#read(source);
    return () => {
      if (!this.#observed.delete(sources)) return;
      const others = this.#sources;
      for (const source of sources) {
        this.#read(source); // up to here it counts
        if (others.has(source)) continue;
        this.#received.forget(source);
        this.#sent.forget(source);
      }
    };
  }

  /** Counts a connection by hand, besides those that are observed. */
  connectionOpened(): void {
    this.#hand.open();
  }

  /** Counts the end of a connection that was counted by hand; does nothing when none is left. */
  connectionClosed(): void {
    this.#hand.close();
  }

  /** Counts a message by hand. */
  messageReceived(bytes = 0): void {
    this.#hand.receive(bytes);
  }

  /** Counts a message by hand. */
  messageSent(bytes = 0): void {
    this.#hand.send(bytes);
  }

  /** How many connections there have been, those included that have ended. */
  getTotalConnections(): number {
    return this.snapshot().totalConnections;
  }

  /** How many connections are open. */
  getActiveConnections(): number {
    return this.snapshot().activeConnections;
  }

  /**
   * How many messages a second were received and sent: over the window, or since the beginning when that was later. There
   * is no timer. Who asks less often than once a window gets the average since the last time; any reading is one, a scrape
   * by Prometheus too.
   */
  getMessagesPerSecond(): number {
    const { received, sent } = this.snapshot().messagesPerSecond;
    return received + sent;
  }

  /** How long connections last in milliseconds, 0 without any: those that have ended, and those that are open so far. */
  getAverageConnectionDuration(): number {
    return this.snapshot().averageConnectionDuration;
  }

  /** Everything as JSON. */
  snapshot(): MetricsSnapshot {
    const families = this.#collect();
    const now = this.#clock.now();
    const messagesPerSecond = { received: this.#received.perSecond(now), sent: this.#sent.perSecond(now) };
    return snapshotOf(families, messagesPerSecond, this.#hand.duration);
  }

  /**
   * Reads everything, added up over the sources. Labels that {@link metricTable} does not know are left out. Metrics that
   * it does not know are kept with their labels, which are for those to bound who measure them.
   */
  measure(): Iterable<Measurement> {
    return this.#collect().flatMap(({ readings }) => readings);
  }

  /** Everything as Prometheus reads it; to be sent as {@link prometheusType}. */
  prometheus(): string {
    return prometheusText(this.#collect());
  }

  get #sources(): ReadonlySet<Measurable> {
    return new Set([this.#hand, ...[...this.#observed].flat()]);
  }

  #collect(): readonly Family[] {
    const readings = [...this.#sources].flatMap((source) => this.#read(source));
    const now = this.#clock.now();
    this.#received.look(now);
    this.#sent.look(now);
    return collect(readings, this.#onError);
  }

  #read(source: Measurable): readonly Measurement[] {
    try {
      const readings = [...source.measure()];
      const sum = (wanted: string): number => sumOf(readings.filter(({ name }) => name === wanted));
      this.#received.count(source, sum("vel_messages_received_total"));
      this.#sent.count(source, sum("vel_messages_sent_total"));
      return readings;
    } catch (error) {
      this.#onError(error);
      return [];
    }
  }
}
