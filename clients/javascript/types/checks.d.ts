/**
 * Throw ExpectationError if an event has a hint, except for those of the rules ignored.
 * @param {Event[]} events
 * @param {readonly string[]} ignored
 */
export function noHints(events: Event[], ignored: readonly string[]): void;
/**
 * Throw TypeError if one of the names is no rule: it would ignore nothing.
 * @param {readonly string[]} names
 * @param {readonly string[]} known
 */
export function knownRules(names: readonly string[], known: readonly string[]): void;
/**
 * Return the one visitor that matches. Throws ExpectationError, which lists the known ones instead.
 * @param {Visitor[]} matching
 * @param {VisitorFilters} filters
 * @param {Visitor[]} known
 */
export function onlyVisitor(matching: Visitor[], filters: VisitorFilters, known: Visitor[]): Visitor;
import type { Event } from "./types.js";
import type { Visitor } from "./types.js";
import type { VisitorFilters } from "./types.js";
