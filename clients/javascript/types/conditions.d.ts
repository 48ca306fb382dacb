/** @import { Body, Condition, ExpectOptions } from "./types.js" */
/**
 * Return the body of a call from the name of an event, which may be left out, and the options after it.
 *
 * Whatever is not an option is a field of the match: the emulator refuses a field that events do not have.
 * @param {string | ExpectOptions | undefined} event
 * @param {ExpectOptions} [options]
 * @returns {Body}
 */
export function condition(event: string | ExpectOptions | undefined, options?: ExpectOptions): Body;
/**
 * Return the condition for a check at once: exactly *count* events if it is given, or else one or more.
 * @param {Body} body
 * @returns {Body}
 */
export function tracked(body: Body): Body;
export function step(match: string | NonNullable<Condition["match"]>): {
    [path: string]: unknown;
};
import type { ExpectOptions } from "./types.js";
import type { Body } from "./types.js";
import type { Condition } from "./types.js";
