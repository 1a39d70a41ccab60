import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { remoteReader } from "../src/address.ts";
import { createVel, networkOf, type VelOptions } from "../src/index.ts";
import { handshake, open, scriptedTransport, ScriptedSocket } from "./scripted-transport.ts";

type Trust = NonNullable<VelOptions["trustProxy"]>;

/** Reads where a request comes from: its socket's address, and what the header says. */
function read(trust: Trust, socket: string | undefined, forwarded?: string): string | undefined {
  const headers = new Headers(forwarded === undefined ? {} : { "x-forwarded-for": forwarded });
  return remoteReader(trust)(socket === undefined ? undefined : { address: socket, port: 4711 }, headers)?.address;
}

/** Texts that are no addresses, though some programs take some of them for one. */
const noAddresses = [
  "0177.0.0.1",
  "127.1",
  "127.0.1",
  "2130706433",
  "0x7f000001",
  "0x7f.0.0.1",
  "127.0.0.01",
  "127.0.0.1.",
  "127.0.0.256",
  "127.0.0.-1",
  "127.0.0.1/32",
  "127.0.0.1%lo",
  "\u00b927.0.0.1",
  "::ffff:0177.0.0.1",
  "::ffff:0x7f.0.0.1",
  "::ffff:127.1",
  "::ffff:127.0.0.1.",
  "::ffff:127.0.0.256",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:8:9",
  "1::2::3",
  ":::",
  ":1::2",
  "12345::",
  "::g",
  "[::1",
  "::1]",
  "::1]/[",
  "[]",
  "[::1]:",
  "[::1]:x",
  "::1:80:",
  "127.0.0.1:",
  "127.0.0.1:x",
  "127.0.0.1:80:80",
  "::1%",
  "::1% ",
  "::1%a%b",
  "unknown",
  "unix:",
  "_hidden",
  "localhost",
  "example.com",
  "",
  "-",
  '"127.0.0.1"',
  "for=127.0.0.1",
  "127.0.0.1;",
  "127.0.0.1 127.0.0.1",
  "__proto__",
  "1".repeat(10_000),
  ":".repeat(10_000),
  "::ffff:" + "1.".repeat(10_000),
];

const ipv4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
const groups = fc.array(fc.nat(0xffff), { minLength: 8, maxLength: 8 });

/** Ways to write an IPv4 address. */
function spellingsOf(octets: readonly number[]): string[] {
  const [a = 0, b = 0, c = 0, d = 0] = octets;
  const dotted = octets.join(".");
  const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  const mapped = [`::ffff:${dotted}`, `::FFFF:${dotted}`, `0:0:0:0:0:ffff:${dotted}`, `::ffff:${hex}`];
  return [dotted, ...mapped, `0000:0000:0000:0000:0000:FFFF:${hex.toUpperCase()}`, `::ffff:${dotted}%eth0`];
}

/** Ways to write an IPv6 address. */
function spellingsOfGroups(parts: readonly number[]): string[] {
  const short = parts.map((part) => part.toString(16)).join(":");
  const long = parts.map((part) => part.toString(16).padStart(4, "0")).join(":");
  const [g = 0, h = 0] = parts.slice(6);
  const dotted = `${parts
    .slice(0, 6)
    .map((part) => part.toString(16))
    .join(":")}:${[g >> 8, g & 255, h >> 8, h & 255].join(".")}`;
  return [short, short.toUpperCase(), long, dotted, `${short}%eth0.100`, short.replace(/(^|:)0(:0)+(:|$)/, "::")];
}

describe("VelOptions.trustProxy", () => {
  it("is false by default: the header is ignored, and the socket's other end is given as it is", () => {
    const socket = { address: "::FFFF:10.0.0.1", port: 1 };
    const headers = new Headers({ "x-forwarded-for": "198.51.100.1" });
    expect(remoteReader(false)(socket, headers)).toBe(socket);
    expect(remoteReader(false)(undefined, headers)).toBeUndefined();
  });

  it("gives the last address of the header that is none of the listed ones", () => {
    const trust = ["10.0.0.0/8", "2001:db8:ffff::/48", "192.0.2.1"];
    expect(read(trust, "10.0.0.1", "198.51.100.1")).toBe("198.51.100.1");
    expect(read(trust, "10.0.0.1", "198.51.100.1, 10.2.3.4, 192.0.2.1,2001:db8:ffff::7")).toBe("198.51.100.1");
    expect(read(trust, "2001:db8:ffff::1", "203.0.113.9, 198.51.100.1 , 10.2.3.4"), "spoofed").toBe("198.51.100.1");
    expect(read(trust, "10.0.0.1", "2001:DB8::1")).toBe("2001:db8::1");
    expect(read(trust, "10.0.0.1", "10.0.0.3, 10.0.0.2"), "the first, where all are listed").toBe("10.0.0.3");
    expect(read(trust, "10.0.0.1")).toBe("10.0.0.1");
  });

  it("ignores the header of who is not listed", () => {
    for (const socket of ["11.0.0.1", "192.0.2.2", "2001:db8:fffe::1", "::1", "", "unknown", "10.0.0.0/8"]) {
      expect(read(["10.0.0.0/8", "192.0.2.1", "2001:db8:ffff::/48"], socket, "198.51.100.1"), socket).toBe(socket);
    }
    expect(read([], "10.0.0.1", "198.51.100.1")).toBe("10.0.0.1");
  });

  it("keeps the socket's port only where the socket's address is given", () => {
    const reader = remoteReader(["loopback"]);
    const socket = { address: "127.0.0.1", port: 4711 };
    expect(reader(socket, new Headers())).toBe(socket);
    expect(reader(socket, new Headers({ "x-forwarded-for": "198.51.100.1:80" }))).toEqual({ address: "198.51.100.1" });
  });

  it("counts that many proxies, whatever their addresses", () => {
    const forwarded = "203.0.113.9, 198.51.100.1, 10.0.0.2, 10.0.0.1";
    expect(read(1, "192.0.2.1", forwarded)).toBe("10.0.0.1");
    expect(read(2, "192.0.2.1", forwarded)).toBe("10.0.0.2");
    expect(read(3, "192.0.2.1", forwarded)).toBe("198.51.100.1");
    expect(read(32, "192.0.2.1", forwarded), "more than have written something").toBe("203.0.113.9");
    expect(read(1, undefined, forwarded), "a Unix socket").toBe("10.0.0.1");
    expect(read(1, "what is no address", forwarded)).toBe("10.0.0.1");
    expect(read(1, "192.0.2.1")).toBe("192.0.2.1");
    const chain = Array.from({ length: 40 }, (_, i) => `198.51.100.${String(i)}`).join();
    expect(read(32, "192.0.2.1", chain)).toBe("198.51.100.8");
  });

  it("stops where an entry is no address: the proxy that wrote it counts", () => {
    for (const entry of noAddresses) {
      expect(read(["loopback"], "127.0.0.1", `198.51.100.1, ${entry}`), entry).toBe("127.0.0.1");
      expect(read(["loopback"], "127.0.0.1", `198.51.100.1, ${entry}, ::1`), entry).toBe("::1");
      expect(read(3, "192.0.2.1", `198.51.100.1, ${entry}, 192.0.2.2`), entry).toBe("192.0.2.2");
      expect(read(3, "192.0.2.1", entry), entry).toBe("192.0.2.1");
    }
    for (const empty of ["", ",", " , ,", "198.51.100.1,", "198.51.100.1, ,"]) {
      expect(read(["loopback"], "127.0.0.1", empty), empty).toBe("127.0.0.1");
    }
  });

  it("reads addresses with ports, brackets, zones, spaces, in capitals and as IPv6", () => {
    const writings = [
      ["192.0.2.7:4711", "192.0.2.7"],
      [" \t192.0.2.7\t ", "192.0.2.7"],
      ["::ffff:192.0.2.7", "192.0.2.7"],
      ["::FFFF:C000:207", "192.0.2.7"],
      ["[::ffff:192.0.2.7]:4711", "192.0.2.7"],
      ["[2001:DB8::7]", "2001:db8::7"],
      ["[2001:db8::7]:4711", "2001:db8::7"],
      ["2001:0db8:0:0:0:0:0:0007", "2001:db8::7"],
      ["2001:db8::192.0.2.7", "2001:db8::c000:207"],
      ["::192.0.2.7", "::c000:207"],
      ["fe80::7%eth0.100", "fe80::7"],
      ["[fe80::7%eth0]:4711", "fe80::7"],
      ["::", "::"],
    ];
    for (const [writing = "", address] of writings) {
      expect(read(["loopback"], "127.0.0.1", `203.0.113.9,${writing}`), writing).toBe(address);
    }
    for (const proxy of ["::ffff:10.0.0.1", "::FFFF:A00:1", "10.255.255.255"]) {
      expect(read(["10.0.0.0/8"], proxy, `198.51.100.1,${proxy}`), proxy).toBe("198.51.100.1");
    }
    expect(read(["fe80::/10"], "fe80::1%en0", "198.51.100.1")).toBe("198.51.100.1");
  });

  it("takes several headers for one list, in their order", () => {
    const headers = new Headers([
      ["x-forwarded-for", "203.0.113.9"],
      ["X-Forwarded-For", "198.51.100.1, 127.0.0.2"],
      ["x-forwarded-for", "127.0.0.3"],
    ]);
    expect(remoteReader(["loopback"])({ address: "127.0.0.1" }, headers)?.address).toBe("198.51.100.1");
  });

  it("looks at the last 32 of 10,000 entries", () => {
    const many = Array.from({ length: 10_000 }, (_, i) => `10.0.${String(i >> 8)}.${String(i & 255)}`);
    expect(read(["10.0.0.0/8"], "10.0.0.1", many.join())).toBe(many.at(-32));
    expect(read(["10.0.0.0/8"], "10.0.0.1", [...many, "198.51.100.1", "10.0.0.2"].join())).toBe("198.51.100.1");
    expect(read(["10.0.0.0/8"], "10.0.0.1", ",".repeat(10_000))).toBe("10.0.0.1");
  });

  it("knows the names of networks", () => {
    const names = {
      loopback: ["127.0.0.1", "127.255.255.255", "::1"],
      linklocal: ["169.254.0.1", "fe80::1", "febf::1"],
      uniquelocal: ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fc00::1", "fdff::1"],
    };
    const outside = [
      "126.0.0.1",
      "128.0.0.1",
      "::2",
      "169.255.0.1",
      "fec0::1",
      "172.15.0.1",
      "172.32.0.1",
      "192.169.0.1",
    ];
    const others = ["11.0.0.1", "fbff::1", "fe00::1", "192.0.2.1", "0.0.0.0", "::"];
    const all = Object.values(names).flat();
    for (const [name, inside] of Object.entries(names)) {
      for (const address of [...all, ...outside, ...others]) {
        const remote = inside.includes(address) ? "198.51.100.1" : address;
        expect(read([name], address, "198.51.100.1"), `${name} ${address}`).toBe(remote);
      }
    }
    for (const address of all) expect(read(["private"], address, "198.51.100.1"), address).toBe("198.51.100.1");
    for (const address of [...outside, ...others]) expect(read(["private"], address, "198.51.100.1")).toBe(address);
  });

  it("believes a socket without an address only where unix is listed", () => {
    // A TCP client that has reset already has no address any more: it must not choose what it is taken for.
    for (const trust of [["loopback"], ["private"], ["0.0.0.0/0", "::/0"], []]) {
      expect(read(trust, undefined, "198.51.100.1")).toBeUndefined();
    }
    expect(read(["unix"], undefined, "203.0.113.9, 198.51.100.1")).toBe("198.51.100.1");
    expect(read(["unix", "loopback"], undefined, "198.51.100.1, 127.0.0.1")).toBe("198.51.100.1");
    expect(read(["unix"], undefined)).toBeUndefined();
    expect(read(["unix"], undefined, "unix")).toBeUndefined();
    for (const socket of ["127.0.0.1", "unix", ""]) expect(read(["unix"], socket, "198.51.100.1")).toBe(socket);
  });

  it("takes networks of any length, whatever bits stand behind it", () => {
    const within: [network: string, inside: string, outside: string][] = [
      ["0.0.0.0/0", "255.255.255.255", "::1"],
      ["::/0", "ffff::", "127.0.0.1"],
      ["10.1.2.3/8", "10.255.0.0", "11.0.0.0"],
      ["10.0.0.0/31", "10.0.0.1", "10.0.0.2"],
      ["10.0.0.1/32", "10.0.0.1", "10.0.0.0"],
      ["2001:db8::/127", "2001:db8::1", "2001:db8::2"],
      ["2001:DB8::1/128", "2001:db8::1", "2001:db8::"],
      ["::ffff:10.0.0.0/104", "10.1.1.1", "11.0.0.0"],
      ["::ffff:a00:1", "10.0.0.1", "10.0.0.2"],
      ["::ffff:0:0/96", "255.255.255.255", "::1"],
    ];
    for (const [network, inside, outside] of within) {
      expect(read([network], inside, "198.51.100.1"), network).toBe("198.51.100.1");
      expect(read([network], outside, "198.51.100.1"), network).toBe(outside);
    }
  });

  it("throws for what it cannot be, and says what it can", () => {
    for (const count of [0, -1, 0.5, 1.5, 33, NaN, Infinity]) {
      expect(() => createVel({ trustProxy: count }), String(count)).toThrow(
        new RangeError(`Option "trustProxy" must count 1 to 32 proxies, got ${String(count)}`),
      );
    }
    const networks = [
      "10.0.0.0/33",
      "::/129",
      "10.0.0.0/",
      "10.0.0.0/-1",
      "10.0.0.0/1e1",
      "10.0.0.0/8/8",
      "/8",
      "::1/8x",
    ];
    const masks = ["10.0.0.0/255.0.0.0", "::ffff:10.0.0.0/8", "::ffff:10.0.0.0/95", "*", "Loopback", "constructor"];
    for (const entry of [...noAddresses, ...networks, ...masks]) {
      if (entry === "127.0.0.1/32") continue;
      expect(() => createVel({ trustProxy: ["loopback", entry] }), entry).toThrow(
        new TypeError(
          `Option "trustProxy" must list addresses, networks like "10.0.0.0/8" or loopback, linklocal, uniquelocal, private, unix, got ${JSON.stringify(entry)}`,
        ),
      );
    }
    for (const entry of [5, null, undefined, {}]) {
      expect(() => createVel({ trustProxy: [entry as string] })).toThrow(/^Option "trustProxy" must list/);
    }
    for (const value of [true, "loopback", "1", {}]) {
      expect(() => createVel({ trustProxy: value as never }), JSON.stringify(value)).toThrow(
        new TypeError(`Option "trustProxy" must be false, a number or a list, got ${JSON.stringify(value)}`),
      );
    }
  });

  it("is what the request, the connection and adopt() say", async () => {
    const vel = createVel({ trustProxy: ["192.0.2.1"] });
    const seen: unknown[] = [];
    vel.use(({ remote, raw }) => void seen.push(remote, raw)).websocket("/ws", {});
    const headers = { "x-forwarded-for": "203.0.113.9, 198.51.100.1" };
    const { connection } = await open(vel, "/ws", { headers });
    expect(seen).toEqual([{ address: "198.51.100.1" }, undefined]);
    expect(connection.remote).toEqual({ address: "198.51.100.1" });
    const host = vel.bind(scriptedTransport());
    const adopted = host.adopt(new ScriptedSocket(), handshake("/", { headers }));
    expect(adopted.remote).toEqual({ address: "198.51.100.1" });
    const direct = host.adopt(new ScriptedSocket(), {
      ...handshake("/", { headers }),
      remote: { address: "192.0.2.2" },
    });
    expect(direct.remote).toEqual({ address: "192.0.2.2" });
  });

  it("never gives what a client made up, whatever that is and however many proxies there are", () => {
    const text = fc.oneof(
      ipv4.map((octets) => octets.join(".")),
      groups.map((parts) => parts.map((part) => part.toString(16)).join(":")),
      fc.constantFrom(...noAddresses.filter((entry) => entry.length < 100), ",", ",,", "10.0.0.1", "::1"),
      fc.string({ unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)) }),
    );
    const proxy = ipv4.map(([, b, c, d]) => spellingsOf([10, b, c, d])).chain((ways) => fc.constantFrom(...ways));
    const outside = ipv4.filter(([a]) => a !== 10).map((octets) => octets.join("."));
    fc.assert(
      fc.property(fc.array(text), outside, fc.array(proxy, { maxLength: 20 }), proxy, (made, client, chain, socket) => {
        const own = [client, ...chain].join(", ");
        const forged = [...made, own].join(",");
        expect(read(["10.0.0.0/8"], socket, forged)).toBe(client);
        expect(read(chain.length + 1, socket, forged)).toBe(client);
        expect(read(["10.0.0.0/8"], client, forged), "not through a proxy").toBe(client);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("networkOf()", () => {
  it("gives an IPv4 address as it is, however it is written, and of others the first 64 bits", () => {
    expect(networkOf("192.0.2.7")).toBe("192.0.2.7");
    expect(networkOf("::ffff:192.0.2.7")).toBe("192.0.2.7");
    expect(networkOf("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:2::/64");
    expect(networkOf("2001:db8::1")).toBe("2001:db8::/64");
    expect(networkOf("::1")).toBe("::/64");
    expect(networkOf("fe80::1%eth0.100")).toBe("fe80::/64");
    expect(networkOf("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")).toBe("ffff:ffff:ffff:ffff::/64");
    // Not IPv4: nobody is reached by these (RFC 4291, section 2.5.5.1).
    expect(networkOf("::192.0.2.7")).toBe("::/64");
    expect(networkOf("64:ff9b::192.0.2.7")).toBe("192.0.2.7");
    expect(networkOf("64:ff9b:1::192.0.2.7")).toBe("64:ff9b:1::/64");
    expect(networkOf("1:0:0:2::")).toBe("1:0:0:2::/64");
  });

  it("gives what is no address back, cut", () => {
    for (const text of noAddresses) expect(networkOf(text)).toBe(text.slice(0, 43));
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ minLength: 40, maxLength: 200 })), (text) => {
        expect(networkOf(text).length).toBeLessThanOrEqual(43);
      }),
      { numRuns: 1_000 },
    );
  });

  it("is the same for all of a /64 and another for each other one, however they are written", () => {
    const half = fc.array(fc.nat(0xffff), { minLength: 4, maxLength: 4 });
    const zeros = fc.array(fc.constantFrom(0, 0, 1, 0xffff), { minLength: 4, maxLength: 4 });
    const network = fc.oneof(half, zeros).filter((parts) => parts.some((part) => part > 0)); // not a mapped IPv4 address
    fc.assert(
      fc.property(network, network, half, zeros, (one, other, first, second) => {
        const networks = [first, second].flatMap((rest) => spellingsOfGroups([...one, ...rest]).map(networkOf));
        expect(new Set(networks).size).toBe(1);
        expect(networks[0]?.length).toBeLessThanOrEqual(43);
        const isSame = one.join() === other.join();
        expect(networkOf([...other, 0, 0, 0, 1].map((part) => part.toString(16)).join(":")) === networks[0]).toBe(
          isSame,
        );
      }),
      { numRuns: 1_000 },
    );
  });

  it("is another for each IPv4 address, however they are written", () => {
    fc.assert(
      fc.property(ipv4, ipv4, (one, other) => {
        expect(new Set(spellingsOf(one).map(networkOf))).toEqual(new Set([one.join(".")]));
        expect(networkOf(one.join(".")) === networkOf(other.join("."))).toBe(one.join() === other.join());
      }),
      { numRuns: 1_000 },
    );
  });
});
