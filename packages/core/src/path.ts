/**
 * Route paths: `/ws/:room/files/*`, with their parameters' types.
 *
 * @module
 */
import { parse } from "regexparam";

/** Parameters of a path that is not known to the compiler. */
export type AnyParams = Readonly<Record<string, string>>;

type Name<Path extends string> = Path extends `${infer Head}/${infer Tail}`
  ? Name<Head> | Name<Tail>
  : Path extends `:${infer Param}`
    ? Param
    : Path extends "*"
      ? "*"
      : never;

/** The parameters of a path: `PathParams<"/ws/:room">` is `{ readonly room: string }`. */
export type PathParams<Path extends string> = string extends Path
  ? AnyParams
  : { readonly [Param in Name<Path>]: string };

/** A compiled path. */
export interface PathPattern {
  /** Tells whether a path fits, without reading its parameters. */
  matches(path: string): boolean;
  /**
   * Reads the parameters of a path that fits, percent-decoded.
   *
   * @throws {URIError} When an escape is malformed.
   */
  params(path: string): AnyParams;
}

const valid = /^\/(?:(?:[^/:*?]+|:[A-Za-z_]\w*)(?:\/(?!$)|\/?$))*\*?$/;

/**
 * Compiles a route's path: literal segments, `:name` for one segment, `*` at the end for the rest. Case counts; one
 * trailing slash does not.
 *
 * @throws {TypeError} When the path has another form, or a name twice.
 */
export function compilePath(path: string): PathPattern {
  if (!valid.test(path)) {
    throw new TypeError(`Invalid route path ${JSON.stringify(path)}: use "/literal", "/:name" and a final "/*"`);
  }
  const { keys, pattern } = parse(path.split("/").map(escapeLiteral).join("/"));
  if (new Set(keys).size !== keys.length) throw new TypeError(`Route path "${path}" names a parameter twice`);
  const exact = new RegExp(pattern.source);
  return {
    matches: (candidate) => exact.test(candidate),
    params: (candidate) => {
      if (keys.length === 0) return noParams;
      const values = exact.exec(candidate) ?? [];
      // No prototype: a parameter may be called `constructor`.
      const params = Object.create(null) as Record<string, string>;
      keys.forEach((key, index) => {
        params[key] = decodeURIComponent(values[index + 1] ?? "");
      });
      return params;
    },
  };
}

/** The parameters of every path that has none. */
const noParams: AnyParams = Object.freeze(Object.create(null) as AnyParams);

/** regexparam puts literal segments into its expression as they are. */
function escapeLiteral(segment: string): string {
  return segment.startsWith(":") || segment === "*" ? segment : segment.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
