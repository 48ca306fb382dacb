// Which events are expected, as the debug API reads it.
/** @import { Body, Condition, Named } from "./types.js" */
import { described, isPlain } from "./given.js";

/**
 * Return the body of a call from the name of an event, which may be left out, and the options after it.
 *
 * Whatever is not an option is a field of the match: the emulator refuses a field that events do not have.
 * @param {readonly unknown[]} given
 * @returns {Body}
 */
export function condition(given) {
  const { count, mode, outcome, timeout, settle, match, ...fields } = named(given);
  const sent = { match: defined({ ...fields, ...match }), count, mode, outcome };
  return /** @type {Body} */ ({ ...sent, timeout_ms: timeout, settle_ms: settle });
}

/**
 * Return the options with the name of the event, which may be left out.
 *
 * Throws TypeError for a name that is undefined, as a misspelt constant is: without it any event would match.
 * @param {readonly unknown[]} given
 * @returns {Named}
 */
export function named(given) {
  if (given.length === 0) return {};
  const [name, options] = given;
  if (options === undefined && isPlain(name)) return /** @type {Named} */ (name);
  if (typeof name !== "string") {
    throw new TypeError(
      `the name of the event is ${described(name)}; use text, or give only an object with the options`,
    );
  }
  if (options !== undefined && !isPlain(options)) {
    throw new TypeError(`the options are ${described(options)}; use an object, or omit them`);
  }
  return { event: name, .../** @type {Named} */ (options) };
}

/**
 * Return the condition for a check at once: exactly *count* events if it is given, or else one or more.
 * @param {Body} body
 * @returns {Body}
 */
export function tracked(body) {
  if (typeof body.count !== "number") return body;
  if (body.count < 1) throw new RangeError(`count is ${body.count}; use assertNone to expect no event`);
  return { ...body, mode: "exactly" };
}

/** @param {string | NonNullable<Condition["match"]>} match */
export const step = (match) => (typeof match === "string" ? { event: match } : defined(match));

/**
 * Return a match. Throws TypeError for a field that is undefined: JSON would lose it, and any event would match.
 * @template {object} T
 * @param {T} match
 * @returns {T}
 */
function defined(match) {
  const missing = undefinedIn(match, []);
  if (missing) throw new TypeError(`${missing.join(".")} is undefined; omit it, or use null for an event without it`);
  return match;
}

/**
 * Return where something is undefined, if anything is.
 * @param {unknown} value
 * @param {string[]} path
 * @returns {string[] | undefined}
 */
function undefinedIn(value, path) {
  if (value === undefined) return path;
  if (typeof value !== "object" || value === null) return undefined;
  for (const [name, inner] of Object.entries(value)) {
    const missing = undefinedIn(inner, [...path, name]);
    if (missing) return missing;
  }
  return undefined;
}
