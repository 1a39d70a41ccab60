/**
 * The two forms of a handler, brought to one: what it makes of a request, and what it does with the connection.
 *
 * @module
 */
import type { CloseInfo } from "./close.ts";
import type { Connection } from "./connection.ts";
import { DisconnectError, InvalidMessageError, VelError } from "./errors.ts";
import type { Consumer } from "./inbox.ts";
import type { LiveConnection } from "./live-connection.ts";
import type { LiveRequest } from "./live-request.ts";
import { isPromise, type MaybePromise } from "./maybe-promise.ts";
import type { Received } from "./payload.ts";
import { Refusal } from "./refusal.ts";
import type { ErrorContext } from "./report.ts";
import type { Admission } from "./request.ts";
import { validate } from "./standard-schema.ts";
import type { Hooks, PullHandler } from "./vel.ts";

/** A request that a handler lets in. */
export interface Entry {
  readonly admission: Admission;
  /** Runs the handler on the open connection; `done` is called once, when it has settled. */
  start(connection: LiveConnection, done: () => void): void;
  /** Tells the handler that there will be no connection for it. `info`: how the one ended that was not fit for it. */
  abandon(info?: CloseInfo): void;
}

/** A handler of either form. May throw a {@link Refusal}. */
export type Handler = (request: LiveRequest) => MaybePromise<Entry | Refusal>;

/** What the end of a handshake that never became a connection looks like to the handler. */
const gone: CloseInfo = { code: 1006, reason: "", wasClean: false, by: "remote" };

/** Makes a {@link Handler} of a pull handler, which runs from the request on and accepts in its middle. */
export function pullHandler(handle: PullHandler, report: (error: unknown, context: ErrorContext) => void): Handler {
  return (request) =>
    new Promise((resolve, reject) => {
      let accepted = false;
      request.acceptBy((admission) => {
        accepted = true;
        return new Promise<Connection>((open, fail) => {
          resolve({
            admission,
            start(connection, done) {
              open(connection);
              finished
                .then(
                  () => {
                    connection.close(1000);
                  },
                  (error: unknown) => {
                    connection.fail(error, "handler");
                  },
                )
                .then(done, done);
            },
            abandon(info = gone) {
              fail(new DisconnectError(info));
              finished.catch((error: unknown) => {
                if (!(error instanceof DisconnectError)) report(error, { stage: "handler" });
              });
            },
          });
        });
      });
      const finished = (async () => handle(request as never))();
      finished.then(
        (answer) => {
          if (accepted) return;
          const refusal = answer ?? request.refusal;
          if (refusal) resolve(refusal);
          else reject(new VelError("ERR_VEL_STATE", `Handler of "${request.route}" returned without an answer`));
        },
        (error: unknown) => {
          if (!accepted) reject(error);
        },
      );
    });
}

/** Makes a {@link Handler} of hooks, which are called as things happen. */
export function hookHandler(hooks: Hooks, serial: boolean): Handler {
  const start = hookRunner(hooks, serial);
  return (request) => {
    const answer = hooks.upgrade?.(request) ?? {};
    return isPromise(answer) ? answer.then(enter) : enter(answer);
  };

  function enter(answer: Admission | Refusal): Entry | Refusal {
    if (answer instanceof Refusal) return answer;
    return { admission: answer, start, abandon: () => undefined };
  }
}

/** Makes what runs hooks on an open connection. */
export function hookRunner(hooks: Omit<Hooks, "upgrade">, serial: boolean): Entry["start"] {
  return (connection, done) => {
    if (hooks.drain) {
      connection.onDrain(() => {
        void run(connection, "drain", () => hooks.drain?.(connection));
      });
    }
    connection.inbox.consume(new HookConsumer(connection, hooks, serial, done));
  };
}

/** The hooks as they run on one connection. */
class HookConsumer implements Consumer {
  readonly serial: boolean;
  readonly #connection: LiveConnection;
  readonly #hooks: Omit<Hooks, "upgrade">;
  readonly #done: () => void;

  constructor(connection: LiveConnection, hooks: Omit<Hooks, "upgrade">, serial: boolean, done: () => void) {
    this.#connection = connection;
    this.#hooks = hooks;
    this.serial = serial;
    this.#done = done;
  }

  begin(): unknown {
    return this.#hooks.open && this.#run("open", () => this.#hooks.open?.(this.#connection));
  }

  take(payload: Received): unknown {
    if (!this.#hooks.message) return undefined;
    return this.#hooks.schema
      ? this.#run("message", () => this.#deliverParsed(payload))
      : this.#run("message", () => this.#hooks.message?.(this.#connection, payload));
  }

  end(): void {
    const { close } = this.#hooks;
    const info = this.#connection.closeInfo ?? gone;
    const closed = close && this.#run("close", () => this.#hooks.close?.(this.#connection, info));
    if (isPromise(closed)) closed.then(this.#done, this.#done);
    else this.#done();
  }

  /** Parses, checks and hands in; what does not fit goes to `invalid`, or else fails the connection. */
  #deliverParsed(payload: Received): unknown {
    let message: MaybePromise<Received>;
    try {
      message = this.#check(payload);
    } catch (error) {
      return this.#refuse(error);
    }
    if (!isPromise(message)) return this.#hooks.message?.(this.#connection, message);
    return message.then(
      (checked) => this.#hooks.message?.(this.#connection, checked),
      (error: unknown) => this.#refuse(error),
    );
  }

  #check(payload: Received): MaybePromise<Received> {
    if (typeof payload !== "string") throw new InvalidMessageError("Expected a text message, got a binary one");
    const value = this.#connection.parse(payload);
    // `In` is the schema's output; Received is only its default.
    return this.#hooks.schema ? validate(this.#hooks.schema, value) : (value as Received);
  }

  #refuse(error: unknown): unknown {
    if (!(error instanceof InvalidMessageError) || !this.#hooks.invalid) throw error;
    return this.#run("invalid", () => this.#hooks.invalid?.(this.#connection, error));
  }

  #run(stage: string, hook: () => unknown): unknown {
    return run(this.#connection, stage, hook);
  }
}

/** Runs a hook; what goes wrong is its connection's end and nobody else's. The result never rejects. */
function run(connection: LiveConnection, stage: string, hook: () => unknown): unknown {
  try {
    const result = hook();
    if (!isPromise(result)) return undefined;
    return result.then(undefined, (error: unknown) => {
      connection.fail(error, stage);
    });
  } catch (error) {
    connection.fail(error, stage);
    return undefined;
  }
}
