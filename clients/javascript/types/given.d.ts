/**
 * Throw TypeError for what JSON does not have, anywhere in a value. A Date is text, as is what else has a toJSON.
 * @param {unknown} value
 * @param {string} name
 * @param {string} [instead] what to do if something is undefined
 * @param {readonly unknown[]} [around] the objects that the value is in
 */
export function checkJson(value: unknown, name: string, instead?: string, around?: readonly unknown[]): void;
/** Throw TypeError unless options are an object. @param {unknown} options */
export function checkObject(options: unknown): void;
/**
 * Return options, of which only those with these names have a meaning. Throws TypeError for others.
 * @template {object} T
 * @param {T} options
 * @param {readonly string[]} names
 */
export function known<T extends object>(options: T, ...names: readonly string[]): T;
/** Throw TypeError if an option is no length of time. @param {string} name @param {unknown} value */
export function checkMilliseconds(name: string, value: unknown): void;
/** Return a part of a path: an id, or a name. Throws TypeError for another. @param {string} kind @param {unknown} value */
export function pathPart(kind: string, value: unknown): string;
/** Throw TypeError for a token that no header can have. @param {unknown} value */
export function checkToken(value: unknown): void;
/** Whether a value is an object as `{}` makes one, of whatever realm: Jest runs tests in another. @param {unknown} value @returns {value is Record<string, unknown>} */
export function isPlain(value: unknown): value is Record<string, unknown>;
/** Return what a value is, in a few words. @param {unknown} value @returns {string} */
export function described(value: unknown): string;
