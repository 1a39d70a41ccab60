/**
 * Tickets: what stands in a URL instead of a token, and is worth nothing once it was used.
 *
 * @module
 */
import { networkOf, VelError, type Clock, type UpgradeRequest } from "@vel/core";
import { tokenError } from "./errors.ts";
import { MultiMap } from "./multi-map.ts";
import { assertOptions, positive } from "./option-checks.ts";
import type { TargetKey } from "./revoke-target.ts";
import { digestSecret } from "./secret.ts";
import type { TimedToken } from "./timed-token.ts";

/** What a ticket is good for. */
export interface TicketOptions {
  /** The path of the request, as the client writes it, without the query: `/ws`. */
  path: string;
  /**
   * The client's address, for HTTP servers that know it: the guard's `request.remote.address` must be of the same network,
   * see core's `networkOf()`, so both have to look through the same proxies. Default: for all, which suits clients that
   * change between networks.
   */
  address?: string;
  /** How long it can be used, in milliseconds. Default: 30,000. */
  lifetime?: number;
}

/** How many tickets there may be that were not used and have not expired. */
export const maxTickets = 10_000;

/** How many of these one user may have: a browser opens several tabs at once. */
export const maxTicketsPerSubject = 16;

interface Ticket<Claims> {
  readonly digest: string;
  readonly token: TimedToken<Claims>;
  readonly path: string;
  readonly network: string | undefined;
  /** When it is not good any more, on the monotonic clock. */
  readonly deadline: number;
}

/** What is asked of a ticket, checked. */
export interface TicketTerms {
  readonly path: string;
  readonly network: string | undefined;
  readonly lifetime: number;
}

/**
 * Checks the options of a ticket.
 *
 * @throws {TypeError} When there are none, the path is none, or the address no text.
 * @throws {RangeError} When `lifetime` is not a positive number.
 */
export function ticketTerms(options: TicketOptions): TicketTerms {
  assertOptions("ticket()", options);
  const { path, address, lifetime = 30_000 } = options;
  if (typeof path !== "string" || !/^\/[^?#]*$/.test(path)) {
    throw new TypeError(`Option "path" must be a path like "/ws", got ${JSON.stringify(path)}`);
  }
  if (address !== undefined && typeof address !== "string") {
    throw new TypeError(`Option "address" must be an address, got ${JSON.stringify(address)}`);
  }
  const network = address === undefined ? undefined : networkOf(address);
  return { path, network, lifetime: positive("lifetime", lifetime) };
}

/** The tickets that were given out, by the digests of their texts. */
export class Tickets<Claims> {
  readonly #clock: Clock;
  readonly #kept = new Map<string, Ticket<Claims>>();
  readonly #bySubject = new MultiMap<string, Ticket<Claims>>();
  readonly #byTokenId = new MultiMap<string, Ticket<Claims>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Keeps a ticket for a token that was just verified.
   *
   * @throws {VelError} `ERR_VEL_LIMIT` when there are too many, or too many of its user.
   */
  add(digest: string, token: TimedToken<Claims>, { path, network, lifetime }: TicketTerms): void {
    this.#makeRoom(token.subject ?? noSubject);
    const ticket = { digest, token, path, network, deadline: this.#clock.now() + lifetime };
    this.#kept.set(digest, ticket);
    this.#bySubject.add(token.subject ?? noSubject, ticket);
    this.#byTokenId.add(token.tokenId, ticket);
  }

  /**
   * Takes a ticket for its token, which may have expired meanwhile. Whoever tries uses the ticket up, whether or not it is
   * good for that request.
   *
   * @throws {VelError} `ERR_VEL_TOKEN`
   */
  async redeem(text: string, { path, remote }: UpgradeRequest): Promise<TimedToken<Claims>> {
    const ticket = this.#kept.get(await digestSecret(text));
    // Looked up and taken out in one go: of two who come at once, one finds it.
    if (ticket) this.#delete(ticket);
    const isGood =
      ticket !== undefined &&
      this.#clock.now() < ticket.deadline &&
      path === ticket.path &&
      (ticket.network === undefined || (remote !== undefined && networkOf(remote.address) === ticket.network));
    if (!isGood) throw tokenError();
    return ticket.token;
  }

  /** Forgets the tickets of whom or what is revoked. */
  end([by, name]: TargetKey): void {
    for (const ticket of [...(by === "subject" ? this.#bySubject : this.#byTokenId).get(name)]) this.#delete(ticket);
  }

  /** Forgets all. */
  clear(): void {
    for (const ticket of [...this.#kept.values()]) this.#delete(ticket);
  }

  #makeRoom(subject: string): void {
    if (this.#bySubject.get(subject).size >= maxTicketsPerSubject) this.#dropEnded(this.#bySubject.get(subject));
    if (this.#bySubject.get(subject).size >= maxTicketsPerSubject) {
      throw new VelError("ERR_VEL_LIMIT", `Cannot give a ticket: its user has ${maxTicketsPerSubject} already`);
    }
    if (this.#kept.size >= maxTickets) this.#dropEnded(this.#kept.values());
    if (this.#kept.size >= maxTickets) {
      throw new VelError("ERR_VEL_LIMIT", `Cannot give a ticket: there are ${maxTickets} already`);
    }
  }

  #dropEnded(tickets: Iterable<Ticket<Claims>>): void {
    const now = this.#clock.now();
    for (const ticket of [...tickets]) if (ticket.deadline <= now) this.#delete(ticket);
  }

  #delete(ticket: Ticket<Claims>): void {
    this.#kept.delete(ticket.digest);
    this.#bySubject.delete(ticket.token.subject ?? noSubject, ticket);
    this.#byTokenId.delete(ticket.token.tokenId, ticket);
  }
}

/** All tokens without a `sub` count as one user's; no `sub` is empty. */
const noSubject = "";
