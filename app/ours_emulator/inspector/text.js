// How values are written.
/** @import { Arrival } from "types" */

/** @param {string | number} moment */
export function clockTime(moment) {
  const date = new Date(moment);
  return Number.isNaN(date.getTime()) ? String(moment) : date.toISOString().slice(11, 23);
}

/** @param {string | number} moment */
export function fullTime(moment) {
  const date = new Date(moment);
  return Number.isNaN(date.getTime()) ? String(moment) : date.toISOString().replace("T", " ").replace("Z", " UTC");
}

/** @param {number} count @param {string} noun */
export const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** @param {number} ms */
export function duration(ms) {
  const size = Math.abs(ms);
  if (size < 1000) return `${Math.round(ms)} ms`;
  if (size < 60_000) return `${Number((ms / 1000).toFixed(2))} s`;
  if (size < 3_600_000) return `${Number((ms / 60_000).toFixed(1))} min`;
  return size < 86_400_000 ? `${Number((ms / 3_600_000).toFixed(1))} h` : `${Number((ms / 86_400_000).toFixed(1))} d`;
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1024) return plural(bytes, "byte");
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/**
 * A value on one line: text as it is, everything else as JSON.
 * @param {unknown} value
 */
export const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/**
 * A JSON pointer as people write places: `userProperties.first_name`.
 * @param {string} path
 */
export const dotted = (path) => path.slice(1).replaceAll("/", ".").replaceAll("~1", "/").replaceAll("~0", "~");

/**
 * What an arrival is called: an event by its name, other calls by what they do.
 * @param {{event: string | null, endpoint: string}} arrival
 */
export const titleOf = ({ event, endpoint }) => (event === "" ? '""' : (event ?? NAMELESS[endpoint] ?? endpoint));

/** @type {Record<string, string>} */
const NAMELESS = {
  track: "event without a name",
  batch: "event without a name",
  assignments: "experiment assignment",
  unknown: "unknown path",
  "client/unknown": "unknown path",
};

/**
 * Why an arrival was refused, and its hints.
 * @param {Pick<Arrival, "reason" | "hints">} arrival
 */
export const remarksOf = ({ reason, hints }) => [
  ...(reason ? [{ ...reason, kind: "rejected" }] : []),
  ...hints.map((hint) => ({ ...hint, kind: "hint" })),
];

/** @param {unknown} value @returns {value is Record<string, unknown>} */
export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
