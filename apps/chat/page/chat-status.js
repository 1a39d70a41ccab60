// @ts-check
/** The bar that says how the connection is doing, and nothing while all is well. */

/** @typedef {import("./chat-connection.js").ConnectionStatus} ConnectionStatus */

const GREETING_LASTS = 2_500;

/** Draws the state of the connection. */
export class StatusBar {
  #parts;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * Takes over the bar: the announced text, the countdown that only the eye sees, and the button.
   * @param {{ bar: HTMLElement, text: HTMLElement, countdown: HTMLElement, button: HTMLButtonElement }} parts
   */
  constructor(parts) {
    this.#parts = parts;
  }

  /** Shows a state. @param {ConnectionStatus} status */
  show(status) {
    this.reset();
    const { bar, button } = this.#parts;
    const broken = bar.dataset["state"] === "offline" || bar.dataset["state"] === "stopped";
    bar.dataset["state"] = status.state;
    button.hidden = status.state !== "offline" && status.state !== "stopped";
    button.textContent = status.state === "stopped" ? "Reconnect" : "Reconnect now";
    switch (status.state) {
      case "connecting":
        return this.#say("Connecting…");
      case "slowed":
        return this.#say("That was fast. Your messages follow one by one.");
      case "stopped":
        return this.#say(status.reason);
      case "offline":
        this.#say("Connection lost.");
        return this.#countDown(status.retryAt);
      case "online":
        this.#say(broken ? "Connected again." : "");
        this.#timer = setTimeout(() => this.#say(""), GREETING_LASTS);
    }
  }

  /** Ends what the bar does by itself. */
  reset() {
    clearTimeout(this.#timer);
    this.#parts.countdown.textContent = "";
  }

  /** Sets the announced text; unchanged text is not announced again. @param {string} text */
  #say(text) {
    if (this.#parts.text.textContent !== text) this.#parts.text.textContent = text;
  }

  /** Counts down to the next attempt; read aloud it would never end. @param {number | undefined} until */
  #countDown(until) {
    const seconds = until === undefined ? 0 : Math.ceil((until - Date.now()) / 1000);
    this.#parts.countdown.textContent = seconds > 0 ? `Reconnecting in ${seconds} s…` : "Reconnecting…";
    if (seconds > 0) this.#timer = setTimeout(() => this.#countDown(until), 250);
  }
}
