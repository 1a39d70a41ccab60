// @ts-check
/** The small pieces of document that several parts of the page draw alike. */

/** @typedef {import("./chat-connection.js").User} User */

const TINTS = 8;
const segmenter = "Segmenter" in Intl ? new Intl.Segmenter() : undefined;

/**
 * Creates an element with properties; `textContent` is the only way that foreign text gets in.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Partial<HTMLElementTagNameMap[Tag]>} [properties]
 */
export function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

/** A person's name in its own direction, so that it cannot reorder the words around it. @param {string} text */
export function name(text) {
  return element("bdi", { className: "name", textContent: text });
}

/** A coloured disc with the first letter of a name; says nothing that the name beside it does not. @param {User} user */
export function avatar(user) {
  const disc = element("span", {
    className: `avatar tint-${tintOf(user.user_id)}`,
    textContent: firstLetter(user.name).toLocaleUpperCase(),
  });
  disc.setAttribute("aria-hidden", "true");
  return disc;
}

/** The colour of a person: the same on every page, because it comes from the id. @param {string} userId */
export function tintOf(userId) {
  let hash = 0;
  for (let index = 0; index < userId.length; index++) hash = (hash * 31 + userId.charCodeAt(index)) | 0;
  return Math.abs(hash) % TINTS;
}

/** What a reader takes for the first letter, be it an emoji of many code points. @param {string} text */
function firstLetter(text) {
  const segments = segmenter ? Array.from(segmenter.segment(text), ({ segment }) => segment) : Array.from(text);
  return segments.find((segment) => /[\p{L}\p{N}\p{Extended_Pictographic}]/u.test(segment)) ?? segments[0] ?? "?";
}
