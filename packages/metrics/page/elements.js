// @ts-check
/** Finding, making and keeping pieces of the document. Foreign text gets in as `textContent` alone. */

/**
 * Finds an element of the page.
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new TypeError(`The page has no ${type.name} "${id}"`);
}

/**
 * Creates an element with properties and children.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Partial<HTMLElementTagNameMap[Tag]>} [properties]
 * @param {readonly (Node | string)[]} [children]
 */
export function element(tag, properties, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Sets a text; one that is unchanged is not touched, nor announced again. @param {Element} target @param {string} text */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * A list whose items stay the same elements while what they show changes: the focus stays where it is.
 * @template T
 */
export class Rows {
  #parent;
  #keyOf;
  #make;
  /** @type {Map<string, { element: HTMLElement, update: (item: T) => void }>} */
  #rows = new Map();

  /**
   * @param {HTMLElement} parent
   * @param {(item: T, index: number) => string} keyOf
   * @param {(key: string) => { element: HTMLElement, update: (item: T) => void }} make
   */
  constructor(parent, keyOf, make) {
    this.#parent = parent;
    this.#keyOf = keyOf;
    this.#make = make;
  }

  /** Shows these, in this order. @param {readonly T[]} items */
  show(items) {
    const focused = document.activeElement;
    const keyed = items.map((item, index) => ({ item, key: this.#keyOf(item, index) }));
    const keys = new Set(keyed.map(({ key }) => key));
    for (const [key, row] of this.#rows) {
      if (keys.has(key)) continue;
      row.element.remove();
      this.#rows.delete(key);
    }
    let next = this.#parent.firstElementChild;
    for (const { item, key } of keyed) {
      let row = this.#rows.get(key);
      if (!row) this.#rows.set(key, (row = this.#make(key)));
      row.update(item);
      if (row.element === next) next = next.nextElementSibling;
      else this.#parent.insertBefore(row.element, next);
    }
    // To move an element takes the focus away from it.
    if (focused instanceof HTMLElement && focused !== document.activeElement && this.#parent.contains(focused)) {
      focused.focus({ preventScroll: true });
    }
  }
}
