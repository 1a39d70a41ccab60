/**
 * Frames as proper clients send them, and ones that are almost right.
 *
 * @module
 */
import { deflateRawSync } from "node:zlib";

/** Chance that is the same for the same seed (mulberry32). */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** A whole number below `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  bytes(size: number): Buffer {
    return Buffer.from(Array.from({ length: size }, () => this.below(256)));
  }
}

const texts = [
  "",
  "hello",
  "zwölf 🙂",
  '{"a":{"b":[1,2,{"c":null}]},"d":"\\u00e9"}',
  '{"__proto__":{"polluted":true}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
  '{"\\u005f_proto__":{"polluted":true}}',
  "[".repeat(20),
  "x".repeat(126),
];
const long = "y".repeat(70_000);

/** Makes a masked frame as a proper client sends it. */
export function properFrame(chance: Chance): Buffer {
  const opcode = chance.pick([0, 1, 1, 1, 1, 2, 2, 8, 9, 10]);
  const isControl = opcode >= 8;
  let payload: Buffer =
    chance.below(2) === 0
      ? Buffer.from(chance.below(50) === 0 ? long : chance.pick(texts))
      : chance.bytes(chance.below(40));
  if (opcode === 8) payload = Buffer.concat([Buffer.from([3, 232 + chance.below(16)]), Buffer.from("bye")]);
  if (isControl) payload = payload.subarray(0, 125);
  const isCompressed = !isControl && chance.below(4) === 0;
  if (isCompressed) payload = deflateRawSync(payload);
  const size = payload.length;
  const header =
    size < 126
      ? Buffer.from([0, size])
      : size < 65_536
        ? Buffer.from([0, 126, size >> 8, size & 255])
        : Buffer.from([0, 127, 0, 0, 0, 0, 0, size >> 16, (size >> 8) & 255, size & 255]);
  header[0] = (chance.below(8) === 0 ? 0 : 0x80) | (isCompressed ? 0x40 : 0) | opcode;
  header[1] = (header[1] ?? 0) | 0x80;
  const mask = chance.below(2) === 0 ? Buffer.alloc(4) : chance.bytes(4);
  const masked = payload.map((byte, index) => byte ^ (mask[index & 3] ?? 0));
  return Buffer.concat([header, mask, masked]);
}

/** Makes a frame that is almost right. */
export function mutatedFrame(chance: Chance): Buffer {
  return chance.pick(mutations)(Buffer.from(properFrame(chance)), chance);
}

const mutations: readonly ((frame: Buffer, chance: Chance) => Buffer)[] = [
  function flipBits(frame, chance) {
    for (let times = 1 + chance.below(4); times > 0; times--) flip(frame, chance.below(frame.length), chance);
    return frame;
  },
  function flipHeader(frame, chance) {
    flip(frame, chance.below(Math.min(frame.length, 14)), chance);
    return frame;
  },
  function truncate(frame, chance) {
    return frame.subarray(0, chance.below(frame.length));
  },
  function repeatSlice(frame, chance) {
    const from = chance.below(frame.length);
    return Buffer.concat([frame, frame.subarray(from, from + chance.below(60))]);
  },
  function cutOut(frame, chance) {
    const from = chance.below(frame.length);
    return Buffer.concat([frame.subarray(0, from), frame.subarray(from + 1 + chance.below(6))]);
  },
  function insert(frame, chance) {
    const at = chance.below(frame.length);
    return Buffer.concat([frame.subarray(0, at), chance.bytes(1 + chance.below(8)), frame.subarray(at)]);
  },
  function changeLength(frame, chance) {
    frame[1] = 0x80 | chance.pick([0, 1, 124, 125, 126, 127]);
    return frame;
  },
  function longLength(frame, chance) {
    return Buffer.concat([frame.subarray(0, 1), Buffer.from([0xff]), chance.bytes(8), frame.subarray(2)]);
  },
  function splice(frame, chance) {
    const other = properFrame(chance);
    return Buffer.concat([frame.subarray(0, chance.below(frame.length)), other.subarray(chance.below(other.length))]);
  },
  function unmask(frame) {
    frame[1] = (frame[1] ?? 0) & 0x7f;
    return frame;
  },
  function noise(frame, chance) {
    return chance.bytes(Math.min(frame.length, 300));
  },
];

function flip(frame: Buffer, index: number, chance: Chance): void {
  frame[index] = (frame[index] ?? 0) ^ (1 << chance.below(8));
}
