// @ts-check
/**
 * What the user wrote and the server has not echoed yet. Sent one at a time, each when the one before it has its echo: so
 * they stay in order, whichever of them a broken connection loses or the server drops because it came too fast.
 */

/** How many messages may wait for their echo. */
export const OUTBOX_LIMIT = 50;

/** The messages that wait, in the order in which they were written. */
export class Outbox {
  /** Messages by id. @type {Map<string, string>} */
  #messages = new Map();
  /** The id of the message that was sent and has no echo. @type {string | undefined} */
  #underWay;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #hold;
  #isSlowed = false;
  #transmit;
  #onPace;

  /**
   * Starts empty.
   * @param {object} options
   * @param {(frame: object) => boolean} options.transmit sends a frame, or tells that it cannot
   * @param {(isSlowed: boolean) => void} options.onPace called when messages have to wait for the server, and no longer
   */
  constructor({ transmit, onPace }) {
    this.#transmit = transmit;
    this.#onPace = onPace;
  }

  /** How many messages wait. */
  get size() {
    return this.#messages.size;
  }

  /** Whether the server wants nothing at the moment. */
  get isHeld() {
    return this.#hold !== undefined;
  }

  /** Takes a message in, and sends it if it is its turn. Gives false when too many wait. @param {string} id @param {string} message */
  add(id, message) {
    if (this.#messages.size >= OUTBOX_LIMIT) return false;
    this.#messages.set(id, message);
    this.sendNext();
    return true;
  }

  /** Lets go of a message that has its echo or was refused. Tells whether it waited. @param {string} id */
  settle(id) {
    const waited = this.#messages.delete(id);
    if (id === this.#underWay) this.#underWay = undefined;
    if (this.#messages.size === 0) this.#slow(false);
    this.sendNext();
    return waited;
  }

  /** Sends the message that was written first, unless one is under way. */
  sendNext() {
    const [next] = this.#messages;
    if (!next || this.#underWay !== undefined || this.isHeld) return;
    const [id, message] = next;
    if (this.#transmit({ type: "chat_message", message, id })) this.#underWay = id;
  }

  /**
   * Waits, since something came too fast and was dropped, the server does not say what; then sends again what may have
   * been it. The server says nothing twice.
   * @param {number} delay in ms
   * @param {() => void} onResumed called before that
   */
  hold(delay, onResumed) {
    clearTimeout(this.#hold);
    this.#hold = setTimeout(() => {
      this.#hold = this.#underWay = undefined;
      onResumed();
      this.sendNext();
    }, delay);
    if (this.#messages.size > 0) this.#slow(true);
  }

  /** Forgets what is under way: the connection it was sent on is gone. */
  interrupt() {
    clearTimeout(this.#hold);
    this.#hold = this.#underWay = undefined;
    this.#isSlowed = false;
  }

  /** @param {boolean} isSlowed */
  #slow(isSlowed) {
    if (this.#isSlowed === isSlowed) return;
    this.#isSlowed = isSlowed;
    this.#onPace(isSlowed);
  }
}
