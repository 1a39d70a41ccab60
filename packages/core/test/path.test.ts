import fc from "fast-check";
import { describe, expect, expectTypeOf, it } from "vitest";
import { compilePath, type AnyParams, type PathParams } from "../src/path.ts";

/** A segment that a route can hold literally: whatever a request's target may hold, but our own syntax. */
const literal = fc
  .string({
    unit: fc.constantFrom(..."abcXYZ019-._~!$&'()+,;=@%[]{}|^\\"),
    minLength: 1,
    maxLength: 8,
  })
  .filter((segment) => !segment.startsWith("%"));
const name = fc.stringMatching(/^[A-Za-z_]\w{0,6}$/);

describe("compilePath()", () => {
  it("matches a path that was built from it, and reads back every parameter", () => {
    const segment = fc.oneof(
      literal.map((text) => ({ text, value: undefined as string | undefined })),
      fc.record({ text: name.map((n) => `:${n}`), value: fc.string({ minLength: 1, unit: "grapheme" }) }),
    );
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 5 }), fc.boolean(), (segments, slash) => {
        const names = segments.filter(({ value }) => value !== undefined).map(({ text }) => text);
        fc.pre(new Set(names).size === names.length);
        const pattern = compilePath("/" + segments.map(({ text }) => text).join("/"));
        const path =
          "/" + segments.map(({ text, value }) => (value === undefined ? text : encodeURIComponent(value))).join("/");
        const asked = slash && segments.length > 0 ? `${path}/` : path;
        expect(pattern.matches(asked)).toBe(true);
        expect({ ...pattern.params(asked) }).toEqual(
          Object.fromEntries(
            segments.flatMap(({ text, value }) => (value === undefined ? [] : [[text.slice(1), value]])),
          ),
        );
      }),
      { numRuns: 300 },
    );
  });

  it("takes literal segments literally, whatever they mean in a regular expression", () => {
    fc.assert(
      fc.property(literal, literal, (own, other) => {
        expect(compilePath(`/${own}`).matches(`/${other}`)).toBe(own === other);
      }),
      { numRuns: 300 },
    );
    expect(compilePath("/a.b").matches("/axb")).toBe(false);
    expect(compilePath("/(x)/:id").params("/(x)/7")).toMatchObject({ id: "7" });
  });

  it("compares case, ignores one trailing slash, and needs every segment", () => {
    const pattern = compilePath("/ws/:room");
    expect(pattern.matches("/ws/lobby")).toBe(true);
    expect(pattern.matches("/ws/lobby/")).toBe(true);
    for (const path of ["/WS/lobby", "/ws", "/ws/", "/ws//", "/ws/a/b", "/ws/lobby//", "ws/lobby", "/x/ws/lobby", ""]) {
      expect(pattern.matches(path), path).toBe(false);
    }
    expect(compilePath("/").matches("/")).toBe(true);
    expect(compilePath("/").matches("/a")).toBe(false);
  });

  it("gives the rest of the path to a final star", () => {
    const pattern = compilePath("/files/:owner/*");
    expect({ ...pattern.params("/files/ada/a/b%20c") }).toEqual({ owner: "ada", "*": "a/b c" });
    expect(pattern.matches("/files/ada")).toBe(false);
    expect(compilePath("/*").matches("/anything/at/all")).toBe(true);
  });

  it("decodes escapes, a slash among them, after it has split", () => {
    expect(compilePath("/:a/:b").params("/x%2Fy/%E2%82%AC")).toMatchObject({ a: "x/y", b: "€" });
  });

  it("throws a URIError at malformed escapes, from params() and not from matches()", () => {
    const pattern = compilePath("/:room");
    for (const path of ["/%", "/%zz", "/%E0%A4%A", "/%C3%28", "/a%"]) {
      expect(pattern.matches(path)).toBe(true);
      expect(() => pattern.params(path), path).toThrow(URIError);
    }
  });

  it("gives parameters without a prototype", () => {
    const params = compilePath("/:constructor/:toString").params("/a/b");
    expect(Object.getPrototypeOf(params)).toBeNull();
    expect(params["hasOwnProperty"]).toBeUndefined();
    expect({ ...params }).toEqual({ constructor: "a", toString: "b" });
    expect(Object.getOwnPropertyNames(compilePath("/:__proto__").params("/x"))).toEqual(["__proto__"]);
  });

  it("throws a TypeError for another form or a name twice", () => {
    const malformed = [
      "",
      "ws",
      "//",
      "/a//b",
      "/:",
      "/:1a",
      "/a:b",
      "/:a:b",
      "/:a?",
      "/:a.json",
      "/a*",
      "/*/a",
      "/**",
      "/a?x",
    ];
    for (const path of [...malformed, "/:a-:b", "/:a/:a", "/:x/y/:x"]) {
      expect(() => compilePath(path), path).toThrow(TypeError);
    }
  });
});

describe("PathParams", () => {
  it("names what stands in a literal path", () => {
    expectTypeOf<PathParams<"/ws/:room/files/:file">>().toEqualTypeOf<{
      readonly room: string;
      readonly file: string;
    }>();
    expectTypeOf<PathParams<"/files/*">>().toEqualTypeOf<{ readonly "*": string }>();
    expectTypeOf<PathParams<"/ws/:room/">>().toEqualTypeOf<{ readonly room: string }>();
    expectTypeOf<keyof PathParams<"/">>().toEqualTypeOf<never>();
    expectTypeOf<PathParams<string>>().toEqualTypeOf<AnyParams>();
  });
});
