/**
 * The metrics in a registry of prom-client, beside an application's own.
 *
 * @module
 */
import type { Measurable, Unsubscribe } from "@vel/core";
import { collect, knownMetrics, type Family, type KnownMetric } from "./collection.ts";
import { samplesOf } from "./prometheus.ts";

/** What is needed of prom-client's `Registry`. */
export interface PromRegistry {
  /** Takes an object with `name`, `help`, `type`, `aggregator` and `get()`. */
  registerMetric(metric: never): void;
  /** Takes it out again. */
  removeSingleMetric(name: string): void;
}

/** One metric as a registry knows it. */
class RegisteredMetric {
  /** A registry of the OpenMetrics format takes the `_total` off. */
  name: string;
  readonly help: string;
  readonly type: KnownMetric["kind"];
  /** How a cluster's workers become one. */
  readonly aggregator = "sum";
  readonly #read: () => Family | undefined;

  constructor({ name, help, kind }: KnownMetric, read: () => Family | undefined) {
    this.name = name;
    this.help = help;
    this.type = kind;
    this.#read = read;
  }

  get(): unknown {
    const { name, help, type, aggregator } = this;
    const samples = this.#read()?.readings.flatMap(samplesOf) ?? [];
    const values = samples.map(({ name: metricName, labels, value }) =>
      type === "histogram" ? { metricName, labels, value } : { labels, value },
    );
    return { name, help, type, aggregator, values };
  }

  /** Does nothing: what it reads is not its own. */
  reset(): void {}
}

/**
 * Adds metrics to a registry of prom-client 15: those of Vel, and those of others that are measured at this moment.
 *
 * They are read when the registry is, once for all of them.
 *
 * @returns What takes them out again.
 * @throws {Error} When the registry has a metric of one of the names; none is added then.
 * @example
 * import { createVel } from "@vel/core";
 * import { registerMetrics, WebSocketMetrics } from "@vel/metrics";
 * import { Registry } from "prom-client";
 *
 * const registry = new Registry();
 * const metrics = new WebSocketMetrics();
 * metrics.observe(createVel());
 * registerMetrics(metrics, registry);
 * console.log(await registry.metrics());
 */
export function registerMetrics(metrics: Measurable, registry: PromRegistry): Unsubscribe {
  let families: ReadonlyMap<string, Family> | undefined;
  // A registry asks all its metrics in one turn.
  const read = (): ReadonlyMap<string, Family> => {
    if (!families) {
      families = new Map(collect(metrics.measure()).map((family) => [family.metric.name, family]));
      queueMicrotask(() => {
        families = undefined;
      });
    }
    return families;
  };
  const names = new Set<string>();
  const unregister = (): void => {
    for (const name of names) registry.removeSingleMetric(name);
    names.clear();
  };
  try {
    for (const metric of knownMetrics(metrics)) {
      const { name } = metric;
      registry.registerMetric(new RegisteredMetric(metric, () => read().get(name)) as never);
      names.add(name);
    }
  } catch (error) {
    unregister();
    throw error;
  }
  return unregister;
}
