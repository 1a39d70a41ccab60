import { describe, expect, it } from "vitest";
import { originCheck } from "../src/origin.ts";

const allows = originCheck(["https://app.example.com"]);

function from(headers: Record<string, string>): Headers {
  return new Headers({ host: "api.example.com", ...headers });
}

describe("originCheck() with a list", () => {
  it("accepts the listed origin, however its host is cased, and its default port", () => {
    for (const origin of [
      "https://app.example.com",
      "https://APP.example.com",
      "HTTPS://app.example.com",
      "https://app.example.com:443",
    ]) {
      expect(allows(from({ origin })), origin).toBe(true);
    }
  });

  it.each([
    "null",
    "",
    "https://app.example.com.evil.com",
    "https://evilapp.example.com",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com@evil.com",
    "https://evil.com@app.example.com",
    "https://app.example.com.",
    "https://app.example.com, https://evil.com",
    "https://app.example.com,https://evil.com",
    "https://app.example.com https://evil.com",
    "https://xn--pp-8ja.example.com",
    "https://xn--80ak6aa92e.com",
    "file://",
    "file://app.example.com",
    "chrome-extension://app.example.com",
    "wss://app.example.com",
    "https://app.example.com/",
    "https://app.example.com/path",
    "https://app.example.com#x",
    "https://app.example.com?x",
    "https://app.example.com\\evil.com",
    "//app.example.com",
    "app.example.com",
    "https:app.example.com",
    "https:///app.example.com",
    "https://api.example.com",
  ])("refuses %j", (origin) => {
    expect(allows(from({ origin }))).toBe(false);
  });

  it("refuses two Origin headers, the listed one among them", () => {
    const headers = from({});
    headers.append("origin", "https://app.example.com");
    headers.append("origin", "https://app.example.com");
    expect(allows(headers)).toBe(false);
  });

  it("lets a request without Origin pass, unless a browser sent it: a Cookie or a draft's origin header tell", () => {
    expect(allows(from({}))).toBe(true);
    expect(allows(from({ cookie: "session=1" }))).toBe(false);
    expect(allows(from({ "sec-websocket-origin": "https://app.example.com" }))).toBe(false);
    expect(allows(from({ "sec-websocket-origin": "https://evil.com" }))).toBe(false);
  });

  it("takes the server's own host only when the list says so", () => {
    expect(originCheck(["https://app.example.com", "same"])(from({ origin: "https://api.example.com" }))).toBe(true);
    expect(originCheck([])(from({ origin: "https://api.example.com" }))).toBe(false);
  });
});

describe("originCheck() with `same`", () => {
  const same = originCheck("same");

  it.each([
    ["http://example.com", "example.com"],
    ["https://example.com", "example.com"],
    ["https://EXAMPLE.com", "example.COM"],
    ["http://localhost:3000", "localhost:3000"],
    ["http://example.com", "example.com:80"],
    ["https://example.com", "example.com:443"],
    ["http://[::1]:3000", "[::1]:3000"],
    ["http://127.0.0.1:8080", "127.0.0.1:8080"],
  ])("accepts %s at Host %s", (origin, host) => {
    expect(same(new Headers({ origin, host }))).toBe(true);
  });

  it.each([
    ["http://localhost:3000", "localhost:3001"],
    ["http://localhost:3000", "localhost"],
    ["http://localhost", "localhost:3000"],
    ["http://example.com", "example.com:443"],
    ["http://example.com:8080", "example.com"],
    ["http://sub.example.com", "example.com"],
    ["http://example.com.evil.com", "example.com"],
    ["http://evil.com", "example.com"],
    ["null", "example.com"],
    ["null", "null"],
    ["file://", "example.com"],
    ["http://example.com", "example.com@evil.com"],
    ["http://example.com", "example.com/evil"],
    ["http://example.com", "example.com, evil.com"],
    ["http://example.com", ""],
  ])("refuses %s at Host %j", (origin, host) => {
    expect(same(new Headers({ origin, host }))).toBe(false);
  });

  it("refuses an Origin when there is no Host", () => {
    expect(same(new Headers({ origin: "http://example.com" }))).toBe(false);
  });

  it("lets a request without Origin pass unless it carries a Cookie", () => {
    expect(same(new Headers({ host: "example.com" }))).toBe(true);
    expect(same(new Headers({ host: "example.com", cookie: "a=1" }))).toBe(false);
    expect(same(new Headers({ host: "example.com", cookie: "" }))).toBe(false);
  });
});

describe("originCheck()", () => {
  it("lets everything pass with `any`", () => {
    const any = originCheck("any");
    expect(any(new Headers({ origin: "https://evil.com", cookie: "a=1" }))).toBe(true);
    expect(any(new Headers({ cookie: "a=1" }))).toBe(true);
  });

  it("throws a TypeError for an entry that is no origin", () => {
    for (const entry of [
      "app.example.com",
      "https://app.example.com/",
      "https://*.example.com/x",
      "*",
      "null",
      "ftp://a",
      "",
    ]) {
      expect(() => originCheck([entry]), entry).toThrow(TypeError);
    }
  });
});
