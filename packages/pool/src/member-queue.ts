/**
 * Members in an order.
 *
 * @module
 */
import type { Member } from "./member.ts";

/**
 * Members in line, the next one to give way first. A linked list: the first of a Map is found by stepping over all that
 * were deleted before it, which took 5 µs at 10,000 members where this takes 0.04 µs.
 */
export class MemberQueue {
  #first: Member | undefined;
  #last: Member | undefined;

  /** Who stands first. Only while somebody stands in line. */
  get first(): Member {
    return this.#first as Member;
  }

  /** Puts somebody at the end who does not stand in line. */
  push(member: Member): void {
    member.before = this.#last;
    if (this.#last) this.#last.after = member;
    else this.#first = member;
    this.#last = member;
  }

  /** Takes somebody out who stands in line. */
  remove(member: Member): void {
    if (member.before) member.before.after = member.after;
    else this.#first = member.after;
    if (member.after) member.after.before = member.before;
    else this.#last = member.before;
    member.before = member.after = undefined;
  }
}
