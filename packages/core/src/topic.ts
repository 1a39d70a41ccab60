/**
 * Names of topics, and patterns that stand for many: segments between dots, as in NATS.
 *
 * @module
 */

/** The longest name of a topic in characters (UTF-16 units). */
const longest = 1_024;

/**
 * Checks a topic's name, or a pattern.
 *
 * @throws {TypeError} When it is not a string of 1 to 1,024 characters.
 */
export function assertTopic(topic: string): void {
  const is = typeof topic === "string" ? `${String(topic.length)} of them` : typeof topic;
  if (typeof topic !== "string" || topic.length < 1 || topic.length > longest) {
    throw new TypeError(`Topic must be a string of 1 to ${String(longest)} characters, got ${is}`);
  }
}

/**
 * Tells whether a pattern stands for a topic. `*` is any one segment, `>` at the end is one segment or more, everything
 * else is itself.
 *
 * @example
 * matchesTopic("orders.*", "orders.42"); // true
 * matchesTopic("orders.*", "orders.42.items"); // false
 * matchesTopic("orders.>", "orders.42.items"); // true
 */
export function matchesTopic(pattern: string, topic: string): boolean {
  const wanted = pattern.split(".");
  const segments = topic.split(".");
  const last = wanted.length - 1;
  if (wanted[last] === ">") {
    return segments.length > last && wanted.slice(0, last).every((each, i) => each === "*" || each === segments[i]);
  }
  return wanted.length === segments.length && wanted.every((each, i) => each === "*" || each === segments[i]);
}

/** What stands at one segment of the patterns in a {@link TopicTree}. */
class Node<T> {
  readonly next = new Map<string, Node<T>>();
  readonly values = new Set<T>();
}

/** Patterns, found by the topics that they match in time that depends on the topic's length, not on their number. */
export class TopicTree<T> {
  readonly #root = new Node<T>();

  /** Adds a value to a pattern. */
  add(pattern: string, value: T): void {
    let node = this.#root;
    for (const segment of pattern.split(".")) {
      let next = node.next.get(segment);
      if (!next) node.next.set(segment, (next = new Node()));
      node = next;
    }
    node.values.add(value);
  }

  /** Takes a value out again. */
  delete(pattern: string, value: T): void {
    const path: [node: Node<T>, segment: string][] = [];
    let node: Node<T> | undefined = this.#root;
    for (const segment of pattern.split(".")) {
      path.push([node, segment]);
      node = node.next.get(segment);
      if (!node) return;
    }
    node.values.delete(value);
    // What is empty now goes, up to the first that is not.
    for (const [parent, segment] of path.reverse()) {
      const child = parent.next.get(segment);
      if (!child || child.values.size > 0 || child.next.size > 0) return;
      parent.next.delete(segment);
    }
  }

  /** Finds the values of all patterns that match a topic. */
  find(topic: string): T[] {
    const found: T[] = [];
    const segments = topic.split(".");
    const take = (node: Node<T> | undefined): void => {
      for (const value of node?.values ?? []) found.push(value);
    };
    const walk = (node: Node<T>, at: number): void => {
      const segment = segments[at];
      if (segment === undefined) {
        take(node);
        return;
      }
      take(node.next.get(">"));
      // A topic's own segment may be `*` or `>`: that is no second match.
      const isLast = at === segments.length - 1;
      for (const key of new Set([segment, "*"])) {
        const next = key === ">" && isLast ? undefined : node.next.get(key);
        if (next) walk(next, at + 1);
      }
    };
    walk(this.#root, 0);
    return found;
  }
}
