/** What the tests share: sources of which every number is the test's, and a server with peers. */
import { createVel, type Measurable, type Measurement, type Vel } from "@vel/core";
import { connect, ManualClock, settle, type TestClient } from "@vel/testing";
import { WebSocketMetrics, type MetricsOptions } from "../src/index.ts";

/** Metrics whose time the test moves, and what they reported. */
export function setup(options: MetricsOptions = {}): {
  clock: ManualClock;
  metrics: WebSocketMetrics;
  errors: string[];
} {
  const clock = new ManualClock();
  const errors: string[] = [];
  const onError: MetricsOptions["onError"] = (error, { stage }) => errors.push(`${stage}: ${String(error)}`);
  return { clock, errors, metrics: new WebSocketMetrics({ clock, onError, ...options }) };
}

/** A source of these readings. */
export function source(...readings: readonly unknown[]): Measurable {
  return { measure: () => readings as Measurement[] };
}

/** A source that has received some messages and sent as many. */
export class Traffic implements Measurable {
  messages = 0;
  measure(): Measurement[] {
    return [
      { name: "vel_messages_received_total", kind: "counter", value: this.messages },
      { name: "vel_messages_sent_total", kind: "counter", value: this.messages },
    ];
  }
}

/** A server that echoes on `/echo`, and how to come in. */
export function echo(clock: ManualClock): { vel: Vel; client: () => Promise<TestClient> } {
  const vel = createVel({ clock });
  vel.websocket("/echo", { message: (connection, message) => connection.send(message) });
  return { vel, client: () => connect(vel, "/echo") };
}

/** Says something and waits for the echo. */
export async function say(client: TestClient, text: string): Promise<void> {
  client.send(text);
  await settle();
}

/** The values of a metric by its labels, as `a,b`. */
export function valuesOf(metrics: Measurable, name: string): Record<string, unknown> {
  const readings = [...metrics.measure()].filter((reading) => reading.name === name);
  return Object.fromEntries(readings.map(({ labels, value }) => [Object.values(labels ?? {}).join(), value]));
}
