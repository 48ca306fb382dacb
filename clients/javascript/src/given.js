// What the caller gives, described for the errors that refuse it.

/** Whether a value is an object as `{}` makes one, of whatever realm: Jest runs tests in another. @param {unknown} value */
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
  return isPlain(value) ? "an object" : `an instance of ${value.constructor.name}`;
}
