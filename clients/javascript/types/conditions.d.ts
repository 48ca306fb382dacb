/**
 * Return the body of a call from the name of an event, which may be left out, and the options after it.
 *
 * Whatever is not an option is a field of the match: the emulator refuses a field that events do not have.
 * @param {readonly unknown[]} given
 * @returns {Body}
 */
export function condition(given: readonly unknown[]): Body;
/**
 * Return the options with the name of the event, which may be left out.
 *
 * Throws TypeError for a name that is undefined, as a misspelt constant is: without it any event would match.
 * @param {readonly unknown[]} given
 * @returns {Named}
 */
export function named(given: readonly unknown[]): Named;
/**
 * Return the condition for a check at once: exactly *count* events if it is given, or else one or more.
 * @param {Body} body
 * @returns {Body}
 */
export function tracked(body: Body): Body;
/** @param {string | NonNullable<Condition["match"]>} match @param {number} index */
export function step(match: string | NonNullable<Condition["match"]>, index: number): {
    [path: string]: unknown;
};
import type { Body } from "./types.js";
import type { Named } from "./types.js";
import type { Condition } from "./types.js";
