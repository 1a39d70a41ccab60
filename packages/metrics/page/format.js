// @ts-check
/** Numbers as people read them. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const units = ["B", "KiB", "MiB", "GiB", "TiB"];

/** What stands for a number that nobody knows. */
const unknown = "–";

/** @param {number | null | undefined} value */
export function count(value) {
  return value == null ? unknown : whole.format(value);
}

/** How often in a second. @param {number | null | undefined} value */
export function rate(value) {
  return value == null ? unknown : `${(value < 10 ? tenths : whole).format(value)}/s`;
}

/** @param {number | null | undefined} value */
export function bytes(value) {
  if (value == null) return unknown;
  const power = Math.min(Math.max(Math.floor(Math.log2(Math.max(value, 1)) / 10), 0), units.length - 1);
  const scaled = value / 1024 ** power;
  return `${(scaled < 10 && power > 0 ? tenths : whole).format(scaled)} ${units[power]}`;
}

/** A time span. @param {number | null | undefined} milliseconds */
export function duration(milliseconds) {
  if (milliseconds == null) return unknown;
  if (milliseconds < 1_000) return `${(milliseconds < 10 ? tenths : whole).format(milliseconds)} ms`;
  const seconds = Math.floor(milliseconds / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** How long something is there, in whole seconds. @param {number} milliseconds */
export function age(milliseconds) {
  return milliseconds < 1_000 ? "0 s" : duration(milliseconds);
}

/** @param {number} number @param {string} one @param {string} [many] */
export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** The names of close codes, for those that have one. @type {Readonly<Record<string, string>>} */
export const closeNames = {
  1000: "normal",
  1001: "going away",
  1002: "protocol error",
  1003: "unsupported data",
  1005: "no code",
  1006: "dropped",
  1007: "invalid message",
  1008: "policy violation",
  1009: "message too big",
  1010: "missing extension",
  1011: "internal error",
  1012: "service restart",
  1013: "try again later",
  1014: "bad gateway",
  1015: "TLS failure",
  4001: "not authenticated",
  4002: "refused",
  4003: "not allowed",
  4400: "bad request",
  4401: "token expired",
  4403: "forbidden",
  4404: "not found",
  4408: "timeout",
  4425: "too early",
  4429: "too many messages",
  4500: "kicked",
  4501: "banned",
};
