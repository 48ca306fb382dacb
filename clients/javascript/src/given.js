// What the caller gives, checked before it is sent. JSON turns NaN into null and a Map into {}, and leaves out functions: a
// match without one of its fields matches other events.

/**
 * Throw TypeError for what JSON does not have, anywhere in a value. A Date is text, as is what else has a toJSON.
 * @param {unknown} value
 * @param {string} name
 * @param {string} [instead] what to do if something is undefined
 * @param {readonly unknown[]} [around] the objects that the value is in
 */
export function checkJson(value, name, instead = "omit it", around = []) {
  const given = hasJson(value) ? value.toJSON() : value;
  if (given === undefined) throw new TypeError(`${name} is undefined; ${instead}`);
  if (around.includes(given)) throw new TypeError(`${name} contains itself, which JSON cannot; give it without`);
  if (isScalar(given) && !isInvalid(value)) return;
  if (!Array.isArray(given) && !isPlain(given)) {
    throw new TypeError(`${name} is ${described(value)}, which JSON does not have; use ${JSON_VALUES}`);
  }
  // Array.from reads the holes of an array, too.
  const inner = Array.isArray(given) ? Array.from(given).entries() : Object.entries(given);
  for (const [key, item] of inner) checkJson(item, name ? `${name}.${key}` : String(key), instead, [...around, given]);
}

/** Throw TypeError unless options are an object. @param {unknown} options */
export function checkObject(options) {
  if (!isPlain(options)) throw new TypeError(`the options are ${described(options)}; use an object, or omit them`);
}

/**
 * Return options, of which only those with these names have a meaning. Throws TypeError for others.
 * @template {object} T
 * @param {T} options
 * @param {readonly string[]} names
 */
export function known(options, ...names) {
  checkObject(options);
  const other = Object.keys(options).find((name) => !names.includes(name));
  if (other !== undefined) throw new TypeError(`${other} is not an option; use ${names.join(", ")}`);
  return options;
}

const JSON_VALUES = "text, a finite number, true, false, null, an array or a plain object";

/** Throw TypeError if an option is no length of time. @param {string} name @param {unknown} value */
export function checkMilliseconds(name, value) {
  if (typeof value === "number" && value >= 0 && value < Infinity) return;
  throw new TypeError(`${name} is ${described(value)}; use milliseconds, at least 0`);
}

/** As the emulator has it; what is no name would be another path. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** Return a part of a path: an id, or a name. Throws TypeError for another. @param {string} kind @param {unknown} value */
export function pathPart(kind, value) {
  if (kind.endsWith("_id")) {
    if (Number.isSafeInteger(value)) return String(value);
    throw new TypeError(`${kind} is ${described(value)}; use an integer`);
  }
  if (typeof value === "string" && NAME.test(value)) return value;
  throw new TypeError(
    `${kind} is ${described(value)}; use letters, digits, dot, dash, underscore; up to 100, beginning with a letter or digit`,
  );
}

/** Throw TypeError for a token that no header can have. @param {unknown} value */
export function checkToken(value) {
  if (value === undefined || (typeof value === "string" && /^[!-~]+$/.test(value))) return;
  throw new TypeError("adminToken must be text of letters, digits and punctuation in ASCII, without space");
}

/** @param {unknown} value @returns {value is { toJSON(): unknown }} */
const hasJson = (value) => typeof value === "object" && value !== null && "toJSON" in value;

/** @param {unknown} value */
const isScalar = (value) => value === null || ["string", "boolean"].includes(typeof value) || Number.isFinite(value);

/** @param {unknown} value */
const isInvalid = (value) => value instanceof Date && Number.isNaN(value.getTime());

/** Whether a value is an object as `{}` makes one, of whatever realm: Jest runs tests in another. @param {unknown} value @returns {value is Record<string, unknown>} */
export function isPlain(value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  /** @type {unknown} */
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Return what a value is, in a few words. @param {unknown} value @returns {string} */
export function described(value) {
  if (typeof value === "string") return `'${value.slice(0, 100)}'`;
  if (["function", "symbol", "bigint"].includes(typeof value)) return `a ${typeof value}`;
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return "an array";
  if (isInvalid(value)) return "an invalid Date";
  return isPlain(value) ? "an object" : `an instance of ${value.constructor.name}`;
}
