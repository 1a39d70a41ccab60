/**
 * Where requests come from: which address to believe behind proxies, and which addresses are one party's.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import type { Remote } from "./transport.ts";

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Network = readonly [Address, bits: number];

/** Tells where a request comes from, see {@link VelOptions.trustProxy}. */
export type RemoteOf = (socket: Remote | undefined, headers: Headers) => Remote | undefined;

/** Tells whether to believe whoever is so many hops away: the socket's other end is 0. */
type Trust = (party: Address | "unix" | undefined, hop: number) => boolean;

const nat64 = ipaddr.IPv6.parseCIDR("64:ff9b::/96");

/** How much of an `X-Forwarded-For` is looked at, from its end: no chain of proxies is longer. */
const mostHops = 32;

const loopback = ["127.0.0.0/8", "::1/128"]; // RFC 1122, section 3.2.1.3, and RFC 4291, section 2.5.3
const linklocal = ["169.254.0.0/16", "fe80::/10"]; // RFC 3927, and RFC 4291, section 2.5.6
const uniquelocal = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]; // RFC 1918 and RFC 4193

/** The names that stand for networks. */
const named: ReadonlyMap<string, readonly string[]> = new Map([
  ["loopback", loopback],
  ["linklocal", linklocal],
  ["uniquelocal", uniquelocal],
  ["private", [...loopback, ...linklocal, ...uniquelocal]],
]);

/**
 * Prepares the reading of {@link VelOptions.trustProxy}.
 *
 * @throws {RangeError} When it is a number, but none from 1 to 32.
 * @throws {TypeError} When it is neither that nor a list of addresses, networks and names.
 */
export function remoteReader(trust: false | number | readonly string[]): RemoteOf {
  if (trust === false) return (socket) => socket;
  const isTrusted = typeof trust === "number" ? countsHops(trust) : isAmong(trust);
  return (socket, headers) => {
    if (!isTrusted(socket ? parse(socket.address) : "unix", 0)) return socket;
    const forwarded = (headers.get("x-forwarded-for") ?? "").split(",").slice(-mostHops).reverse();
    let remote = socket;
    for (const [index, entry] of forwarded.entries()) {
      const address = parse(withoutPort(entry.trim()));
      if (!address) break;
      remote = { address: address.toString() };
      if (!isTrusted(address, index + 1)) break;
    }
    return remote;
  };
}

/**
 * Names the network whose addresses are one party's for limits: an IPv4 address by itself, also where it is written as an
 * IPv6 one, or was translated to one (NAT64); of an IPv6 address the first 64 bits, since a subscriber has at least as many for himself (RFC 6177).
 *
 * @returns As text, 43 characters at most; what is no address comes back cut to so many.
 * @example
 * networkOf("192.0.2.7"); // "192.0.2.7"
 * networkOf("::ffff:192.0.2.7"); // "192.0.2.7"
 * networkOf("64:ff9b::192.0.2.7"); // "192.0.2.7"
 * networkOf("2001:db8:1:2:3:4:5:6"); // "2001:db8:1:2::/64"
 */
export function networkOf(address: string): string {
  const parsed = parse(address);
  if (!parsed) return address.slice(0, 43);
  if (parsed instanceof ipaddr.IPv4) return parsed.toString();
  // What a network without IPv4 makes of all those outside (NAT64, RFC 6052, section 2.1). For limits only, not for trust.
  if (parsed.match(nat64)) return new ipaddr.IPv4(parsed.toByteArray().slice(12)).toString();
  return `${new ipaddr.IPv6([...parsed.parts.slice(0, 4), 0, 0, 0, 0]).toString()}/64`;
}

/** Reads an address, an IPv4 one out of its IPv6 writing too; undefined when it is none. */
function parse(text: string): Address | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  // A zone (`%eth0`) is the machine's own, and no part of who it is.
  const [, bare = ""] = /^([\da-f:.]+)(?:%[\w.-]+)?$/i.exec(text) ?? [];
  // All writings of an address become one: that of URLs, which know no octal numbers in an IPv4 part, as others do.
  const url = `http://[${bare}]`;
  if (!URL.canParse(url)) return undefined;
  const address = ipaddr.IPv6.parse(new URL(url).hostname.slice(1, -1));
  return address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}

/** Some proxies write a port: `192.0.2.7:4711`, `[2001:db8::1]:4711`. */
function withoutPort(entry: string): string {
  return /^\[(.+)\](?::\d+)?$/.exec(entry)?.[1] ?? /^([\d.]+):\d+$/.exec(entry)?.[1] ?? entry;
}

function countsHops(count: number): Trust {
  if (!Number.isInteger(count) || count < 1 || count > mostHops) {
    throw new RangeError(`Option "trustProxy" must count 1 to ${String(mostHops)} proxies, got ${String(count)}`);
  }
  return (_, hop) => hop < count;
}

function isAmong(list: readonly string[]): Trust {
  const isList: boolean = Array.isArray(list);
  if (!isList) {
    throw new TypeError(`Option "trustProxy" must be false, a number or a list, got ${JSON.stringify(list)}`);
  }
  const networks = list.filter((entry) => entry !== "unix").flatMap((entry) => named.get(entry) ?? [entry]);
  const trusted = networks.map(networkFrom);
  return (party) => {
    if (party === "unix") return list.includes("unix");
    return trusted.some(([base, bits]) => party?.kind() === base.kind() && party.match(base, bits));
  };
}

function networkFrom(entry: string): Network {
  const [, base = "", bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(entry) ?? [];
  const address = parse(base);
  const most = address?.kind() === "ipv4" ? 32 : 128;
  // `::ffff:10.0.0.0/104` and `10.0.0.0/8` are the same.
  const length = bits === undefined ? most : Number(bits) - (most === 32 && base.includes(":") ? 96 : 0);
  if (!address || length < 0 || length > most) {
    const names = [...named.keys(), "unix"].join(", ");
    throw new TypeError(
      `Option "trustProxy" must list addresses, networks like "10.0.0.0/8" or ${names}, got ${JSON.stringify(entry)}`,
    );
  }
  return [address, length];
}
