// Which events are expected, as the debug API reads it.
/** @import { Body, Condition, Named } from "./types.js" */
import { checkJson, checkMilliseconds, checkObject, described, isPlain } from "./given.js";

/**
 * Return the body of a call from the name of an event, which may be left out, and the options after it.
 *
 * Whatever is not an option is a field of the match: the emulator refuses a field that events do not have.
 * @param {readonly unknown[]} given
 * @returns {Body}
 */
export function condition(given) {
  const { count, mode, outcome, timeout, settle, match, ...fields } = withMatch(named(given));
  if (timeout !== undefined) checkMilliseconds("timeout", timeout);
  if (settle !== undefined) checkMilliseconds("settle", settle);
  const twice = Object.keys(match).find((name) => Object.hasOwn(fields, name));
  if (twice !== undefined) throw new TypeError(`${twice} is given twice, by itself and in match; give it once`);
  const sent = { match: complete({ ...fields, ...match }, ""), count, mode, outcome };
  return /** @type {Body} */ ({ ...sent, timeout_ms: rounded(timeout), settle_ms: rounded(settle) });
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
  if (options !== undefined) checkObject(options);
  if (isPlain(options) && Object.hasOwn(options, "event"))
    throw new TypeError("event is given twice, as a name and as an option; give it once");
  return { event: name, .../** @type {Named} */ (options) };
}

/** @param {number | undefined} time */
const rounded = (time) => (time === undefined ? undefined : Math.round(time));

/** @param {Named} options */
function withMatch(options) {
  const { match = {} } = options;
  if (!isPlain(match) || ("match" in options && options.match === undefined)) {
    throw new TypeError(`match is ${described(options.match)}; use an object, or omit it`);
  }
  return { ...options, match };
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

/** @param {string | NonNullable<Condition["match"]>} match @param {number} index */
export function step(match, index) {
  if (typeof match === "string") return { event: match };
  if (!isPlain(match)) {
    throw new TypeError(
      `matches.${index} is ${described(match)}; use the name of an event, or an object with its fields`,
    );
  }
  return complete(match, `matches.${index}`);
}

/**
 * Return a match. Throws TypeError for a field that JSON would lose: any event would match.
 * @template {object} T
 * @param {T} match
 * @param {string} name
 * @returns {T}
 */
function complete(match, name) {
  checkJson(match, name, "omit it, or use null for an event without it");
  return match;
}
