/**
 * What a server counts about its connections, by route: kept when they come and go, so that a message costs nothing.
 *
 * @module
 */
import { closeCodes, type CloseInfo } from "./close.ts";
import type { Connection } from "./connection.ts";
import { Histogram, type Measurement } from "./measurement.ts";

/** The bounds of the histogram of durations, in seconds: from a glance to a day. */
const durationBounds = [1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400];

/** The counters of a connection that add up. */
const counters = {
  messagesReceived: "vel_messages_received_total",
  messagesSent: "vel_messages_sent_total",
  bytesReceived: "vel_received_bytes_total",
  bytesSent: "vel_sent_bytes_total",
  messagesDropped: "vel_messages_dropped_total",
} as const;

type Counter = keyof typeof counters;

/** What is known of one route. */
class RouteMeter {
  opened = 0;
  readonly durations = new Histogram(durationBounds);
  /** What the connections that have ended had counted. */
  readonly past: Record<Counter, number> = {
    messagesReceived: 0,
    messagesSent: 0,
    bytesReceived: 0,
    bytesSent: 0,
    messagesDropped: 0,
  };
  /** How often a connection ended with a code, said by a side. */
  readonly closes = new Map<string, number>();
  /** How often a request was answered so. */
  readonly upgrades = new Map<string, number>();
}

/** The counts of one server. */
export class Meter {
  readonly #routes = new Map<string, RouteMeter>();
  /** The connections whose path is no route's, or was none when they were opened. */
  readonly #adopted = new WeakSet<Connection>();
  readonly #isRoute: (path: string) => boolean;

  /** @param isRoute Tells whether a path is a route's, as it was registered: any other is somebody's choice, and no label. */
  constructor(isRoute: (path: string) => boolean) {
    this.#isRoute = isRoute;
  }

  /** A connection's handler starts. */
  opened(connection: Connection): void {
    if (!this.#isRoute(connection.route)) this.#adopted.add(connection);
    this.#at(this.#routeOf(connection)).opened++;
  }

  /** A connection has ended that had lasted so long, in milliseconds. */
  closed(connection: Connection, { code, by }: CloseInfo, duration: number): void {
    const meter = this.#at(this.#routeOf(connection));
    meter.durations.add(duration / 1_000);
    increment(meter.closes, `${labelOf(code)} ${by}`);
    for (const counter of Object.keys(counters) as Counter[]) meter.past[counter] += connection[counter];
  }

  /** A request to a route was answered: accepted, or refused with an HTTP status or a close code. */
  answered(route: string, answer: "accepted" | number): void {
    increment(this.#at(route).upgrades, answer === "accepted" ? answer : String(answer));
  }

  /** Reads everything, those connections included that are open; `now` is the time by the clock that they were opened by. */
  *measure(connections: Iterable<Connection>, now: number): Generator<Measurement, void, undefined> {
    const live = new Map<string, Record<Counter | "connections" | "age" | "bufferedBytes" | "slow", number>>();
    for (const connection of connections) {
      const route = this.#routeOf(connection);
      let sums = live.get(route);
      if (!sums) live.set(route, (sums = { ...nothing }));
      sums.connections++;
      sums.age += now - connection.openedAt;
      for (const counter of Object.keys(counters) as Counter[]) sums[counter] += connection[counter];
      const buffered = connection.bufferedAmount ?? 0;
      sums.bufferedBytes += buffered;
      if (buffered > 0) sums.slow++;
    }
    for (const [route, meter] of this.#routes) {
      const sums = live.get(route) ?? nothing;
      const labels = { route };
      yield { name: "vel_connections", kind: "gauge", value: sums.connections, labels };
      yield { name: "vel_connections_age_seconds", kind: "gauge", value: sums.age / 1_000, labels };
      yield { name: "vel_connections_opened_total", kind: "counter", value: meter.opened, labels };
      for (const [key, value] of meter.closes) {
        const [code = "", by = ""] = key.split(" ");
        yield { name: "vel_connections_closed_total", kind: "counter", value, labels: { route, code, by } };
      }
      for (const [answer, value] of meter.upgrades) {
        yield { name: "vel_upgrades_total", kind: "counter", value, labels: { route, answer } };
      }
      for (const [counter, name] of Object.entries(counters) as [Counter, string][]) {
        yield { name, kind: "counter", value: meter.past[counter] + sums[counter], labels };
      }
      yield { name: "vel_send_buffer_bytes", kind: "gauge", value: sums.bufferedBytes, labels };
      yield { name: "vel_slow_consumers", kind: "gauge", value: sums.slow, labels };
      yield {
        name: "vel_connection_duration_seconds",
        kind: "histogram",
        value: meter.durations.distribution,
        labels,
      };
    }
  }

  #routeOf(connection: Connection): string {
    return this.#adopted.has(connection) ? "adopted" : connection.route;
  }

  #at(route: string): RouteMeter {
    let meter = this.#routes.get(route);
    if (!meter) this.#routes.set(route, (meter = new RouteMeter()));
    return meter;
  }
}

const nothing = {
  connections: 0,
  age: 0,
  messagesReceived: 0,
  messagesSent: 0,
  bytesReceived: 0,
  bytesSent: 0,
  messagesDropped: 0,
  bufferedBytes: 0,
  slow: 0,
};

/** A close code as a label: a peer can send 2,000 codes of its own, which are one. */
function labelOf(code: number): string {
  return Object.hasOwn(closeCodes, code) ? String(code) : "other";
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
