/**
 * The live half of the page: one route, on which viewers are told how the server does.
 *
 * @module
 */
import {
  assertCloseCode,
  Audience,
  VelError,
  report,
  type Clock,
  type Connection,
  type ErrorContext,
  type Received,
  type Routes,
  type Vel,
} from "@vel/core";
import { readCommand, readToken } from "./page-command.ts";
import { PageHistory } from "./page-history.ts";
import type { RoomSource } from "./page-sources.ts";
import type { PageToken } from "./page-token.ts";
import type { PageView } from "./page-view.ts";
import type { Command, Sample, ServerMessage } from "./page-wire.ts";
import type { WebSocketMetrics } from "./websocket-metrics.ts";

/** How long a visitor may take to say the token, in milliseconds. */
const authTimeout = 10_000;

/** The largest message that is taken from a viewer, in bytes: a room's and a user's name at their longest fit. */
const maxPayload = 16_384;

/** Bytes that may wait for a viewer: some snapshots, since a late one is worth nothing. */
const sendLimit = 262_144;

/** What the live half works with. */
export interface LiveParts {
  /** What is looked at. */
  readonly vel: Vel;
  /** Where viewers come in. */
  readonly routes: Routes;
  readonly metrics: WebSocketMetrics;
  readonly rooms: RoomSource | undefined;
  readonly view: PageView;
  readonly viewers: Audience;
  readonly token: PageToken;
  readonly clock: Clock;
  /** How often it is looked, and for how long that is remembered; in milliseconds. */
  readonly interval: number;
  readonly history: number;
  readonly onError: (error: unknown, context: ErrorContext) => void;
}

/** Looks at a server once in an interval while anybody is connected to it or watches, and tells those who watch. */
export class PageLive {
  readonly #parts: LiveParts;
  readonly #history: PageHistory;
  /** The viewers by what they look for, so that each list is made once. */
  readonly #byFilter = new Map<string, Audience>();
  #timer: unknown;

  constructor(parts: LiveParts) {
    this.#parts = parts;
    this.#history = new PageHistory(parts.history);
  }

  /** Adds the route, and begins to look. */
  start(path: string): void {
    const { vel, routes } = this.#parts;
    routes.websocket(path, {
      maxPayload,
      sendBuffer: { limit: sendLimit, onFull: "drop" },
      upgrade: () => ({ prepare: (connection) => this.#admit(connection) }),
      open: (connection) => {
        this.#welcome(connection);
      },
      message: (connection, message) => {
        this.#answer(connection, message);
      },
      close: () => {
        this.#rest();
      },
    });
    vel.on("open", () => {
      this.#lookLater();
    });
    vel.on("close", () => {
      this.#rest();
    });
    if (vel.connections.size > 0) this.#lookLater();
  }

  /** Lets a visitor in who says the token, or ends it. */
  async #admit(connection: Connection): Promise<void> {
    let token: string | undefined;
    try {
      token = readToken(await connection.receiveText({ timeout: authTimeout }));
    } catch (error) {
      if (!connection.isOpen) return;
      // Silence is no guess.
      if (error instanceof VelError && error.code === "ERR_VEL_TIMEOUT") {
        connection.close(4401, "no token");
        return;
      }
    }
    const verdict = this.#parts.token.try(token, connection.remote?.address);
    if (verdict === "right") return;
    const retryAfter = verdict === "wrong" ? null : verdict.retryAfter;
    say(connection, { type: "refused", retryAfter });
    if (retryAfter === null) connection.close(4401, "wrong token");
    else connection.close(4429, `too many wrong tokens: try again in ${Math.ceil(retryAfter / 1_000)} s`);
  }

  #welcome(connection: Connection): void {
    const { viewers, history, interval } = this.#parts;
    viewers.add(connection);
    say(connection, { type: "welcome", history, interval, samples: this.#history.samples });
    this.#lookFor("", connection);
    this.#lookLater();
  }

  #answer(connection: Connection, message: Received): void {
    const command = readCommand(message);
    if (!command) {
      say(connection, { type: "error", text: "That was not understood" });
      return;
    }
    try {
      const answer = this.#obey(connection, command);
      if (answer) say(connection, answer);
    } catch (error) {
      this.#report(error);
      say(connection, { type: "error", text: "That failed; the server's log says why" });
    }
  }

  #obey(connection: Connection, command: Command): ServerMessage | undefined {
    const { view } = this.#parts;
    switch (command.type) {
      case "filter":
        this.#lookFor(command.text, connection);
        return undefined;
      case "connection":
        return view.connection(command.id);
      case "room":
        return view.room(command.name);
      case "close":
        return this.#close(command);
      case "kick":
        return this.#parts.rooms?.get(command.room)?.kick(command.user, { by: "system" })
          ? { type: "done", text: "The user was kicked" }
          : { type: "error", text: "The user is not in the room" };
    }
  }

  #close({ id, code = 1000, reason = "" }: Command & { readonly type: "close" }): ServerMessage {
    const connection = this.#parts.view.byId(id);
    if (!connection) return { type: "error", text: "The connection has ended already" };
    try {
      assertCloseCode(code);
    } catch (error) {
      return { type: "error", text: (error as RangeError).message };
    }
    connection.close(code, reason);
    return { type: "done", text: "The connection was closed" };
  }

  /** Changes what a viewer looks for, and shows what there is of it. */
  #lookFor(filter: string, connection: Connection): void {
    for (const audience of this.#byFilter.values()) audience.delete(connection);
    let audience = this.#byFilter.get(filter);
    if (!audience) this.#byFilter.set(filter, (audience = new Audience()));
    audience.add(connection);
    say(connection, this.#parts.view.find(filter));
  }

  #lookLater(): void {
    const { clock, interval } = this.#parts;
    this.#timer ??= clock.setTimeout(() => {
      this.#timer = undefined;
      this.#lookLater();
      try {
        this.#look();
      } catch (error) {
        this.#report(error);
      }
    }, interval);
  }

  /** No timer without a connection: it would keep a process alive that has nothing else to do. */
  #rest(): void {
    const { vel, viewers, clock } = this.#parts;
    if (vel.connections.size > 0 || viewers.size > 0) return;
    clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const { metrics, view, viewers, clock } = this.#parts;
    const totals = metrics.snapshot();
    const { slowest, ...load } = view.load();
    const sample: Sample = this.#history.add({ at: clock.now(), ...load, totals });
    if (viewers.size === 0) return;
    tell(viewers, {
      type: "snapshot",
      sample,
      totals,
      slowest,
      rooms: view.rooms(),
      channels: view.channels(),
    });
    for (const [filter, audience] of this.#byFilter) {
      if (audience.size === 0) this.#byFilter.delete(filter);
      else tell(audience, view.find(filter));
    }
  }

  #report(error: unknown): void {
    report(this.#parts.onError, error, { stage: "page" });
  }
}

function say(connection: Connection, message: ServerMessage): void {
  connection.sendJson(message);
}

function tell(audience: Audience, message: ServerMessage): void {
  audience.broadcast(message);
}
