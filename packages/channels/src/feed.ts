/**
 * What a broker publishes, without holes: the one subscription of a process to a channel.
 *
 * @module
 */
import type { Broker, Position, Publication } from "@vel/core";
import { continueFrom, isNext, isPast, restart } from "./continuity.ts";

/** What is subscribed to, and how. */
export interface Source {
  readonly broker: Broker;
  /** A topic, or with `isPattern` what stands for many. */
  readonly topic: string;
  readonly isPattern: boolean;
  /** Whether publications have positions, so that holes can be seen and filled. */
  readonly hasHistory: boolean;
}

/** Who gets what comes. */
export interface FeedOwner {
  /** Gets each publication once, in order. */
  take(publication: Publication): void;
  /** Something was missed that cannot be had any more; what comes next comes after this position. */
  skip(position: Position): void;
  report(error: unknown, stage: string): void;
}

/** How many publications are held at most while history is read. More would be a stream that nobody can follow. */
export const maxHeld = 10_000;

/**
 * Hands on what is published to a topic from the moment it was made, in the order of its positions and each once. A hole
 * is filled from history, or told of.
 */
export class Feed {
  /** Resolves when nothing is missed any more; rejects when the broker cannot be asked. */
  readonly ready: Promise<void>;
  /** Where it stands; undefined without history. */
  position: Position | undefined;
  readonly #source: Source;
  readonly #owner: FeedOwner;
  /** What comes while history is read. */
  #held: Publication[] | undefined = [];
  #off: (() => Promise<void>) | undefined;
  readonly #offState: () => void;
  /** Whether the broker has come back while history was read. */
  #isUnsure = false;
  #isStopped = false;

  constructor(source: Source, owner: FeedOwner) {
    this.#source = source;
    this.#owner = owner;
    // What was lost while the broker was away would show at the next publication only, and that may take long.
    this.#offState = source.broker.onState((state) => {
      if (state !== "up") return;
      this.#isUnsure = this.#held !== undefined; // what was asked before may not know of what was lost since
      if (!this.position || this.#held) return;
      this.#held = [];
      void this.#repair();
    });
    this.ready = this.#start();
    this.ready.catch(() => {
      this.stop();
    });
  }

  /** Lets go of the broker. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#offState();
    this.#off?.().catch((error: unknown) => {
      this.#owner.report(error, "unsubscribe");
    });
  }

  async #start(): Promise<void> {
    const { broker, topic, isPattern, hasHistory } = this.#source;
    const subscribing = broker.subscribe(
      topic,
      (publication) => {
        this.#take(publication);
      },
      { pattern: isPattern },
    );
    // Asked in the same turn: what is published after that is not past.
    const looking = hasHistory ? (async () => broker.history(topic, { limit: 0 }))() : undefined;
    looking?.catch(() => undefined);
    const off = await subscribing;
    if (this.#isStopped) {
      await off();
      return;
    }
    this.#off = off;
    this.position = (await looking)?.top;
    await this.#catchUp();
  }

  #take(publication: Publication): void {
    if (this.#isStopped) return;
    if (this.#held) {
      // Continuity is checked afterwards: what is thrown away here will be missed there.
      if (this.#held.length >= maxHeld) this.#held = [];
      this.#held.push(publication);
      return;
    }
    const { position } = publication;
    if (this.position && position) {
      if (isPast(this.position, position)) return;
      if (!isNext(this.position, position)) {
        this.#held = [publication];
        void this.#repair();
        return;
      }
      this.position = position;
    }
    this.#owner.take(publication);
  }

  async #repair(): Promise<void> {
    try {
      await this.#catchUp();
    } catch (error) {
      this.#owner.report(error, "history");
      this.#restart(undefined, this.#held ?? []);
    }
  }

  /** Fills what is missing from history. */
  async #catchUp(): Promise<void> {
    const since = this.position;
    if (!since) {
      this.#release(this.#held ?? []);
      return;
    }
    const before = this.#held?.length ?? 0;
    const { publications, top } = await this.#source.broker.history(this.#source.topic, { since });
    if (this.#isStopped) return;
    const isOther = ({ position }: Publication): boolean => position !== undefined && position.epoch !== top.epoch;
    // Of another epoch: what came before history was asked is late, what came after that may be the next.
    const unsure = this.#held?.slice(before).filter(isOther);
    const held = this.#held?.filter((each) => !isOther(each)) ?? [];
    const next = continueFrom(since, { publications, top }, held);
    if (next) this.#release(next, unsure);
    else this.#restart(top, held, unsure);
  }

  #restart(top: Position | undefined, held: readonly Publication[], unsure?: readonly Publication[]): void {
    if (this.#isStopped) return;
    const since = this.position;
    const isNew = ({ position }: Publication): boolean => !since || !position || !isPast(since, position);
    const { position, next } = restart(top, held.filter(isNew));
    if (position) {
      this.position = position;
      this.#owner.skip(position);
    }
    this.#release(next, unsure);
  }

  get #isHolding(): boolean {
    return this.#held !== undefined;
  }

  #release(publications: readonly Publication[], unsure: readonly Publication[] = []): void {
    // What somebody publishes who gets one of these comes after the last of them.
    this.#held = [];
    for (const publication of publications) {
      if (publication.position && this.position) this.position = publication.position;
      this.#owner.take(publication);
    }
    const late = [...unsure, ...this.#held];
    this.#held = undefined;
    for (const publication of late) this.#take(publication);
    if (!this.#isUnsure || this.#isHolding || !this.position || this.#isStopped) return;
    this.#isUnsure = false;
    this.#held = [];
    void this.#repair();
  }
}
