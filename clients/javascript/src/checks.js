// What the client asserts by itself, of lists that it has read. Everything else is explained by the emulator.
/** @import { Event, Hint, Visitor, VisitorFilters } from "./types.js" */
import { ExpectationError } from "./errors.js";

const MAX_VISITORS = 10;

/**
 * Throw ExpectationError if an event has a hint, except for those of the rules ignored.
 * @param {Event[]} events
 * @param {readonly string[]} ignored
 */
export function noHints(events, ignored) {
  const lines = events.flatMap((event) =>
    event.hints.filter(({ rule }) => !ignored.includes(rule)).map((hint) => `${nameOf(event)}: ${sentence(hint)}`),
  );
  if (lines.length === 0) return;
  const summary = `expected no hints, but there are ${lines.length}; fix the calls or ignore these rules:`;
  throw new ExpectationError([summary, ...lines].join("\n"));
}

/**
 * Throw TypeError if one of the names is no rule: it would ignore nothing.
 * @param {readonly string[]} names
 * @param {readonly string[]} known
 */
export function knownRules(names, known) {
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new TypeError(`ignore: unknown rule '${unknown}'; docs/rules.md lists the rules`);
}

/**
 * Return the one visitor that matches. Throws ExpectationError, which lists the known ones instead.
 * @param {Visitor[]} matching
 * @param {VisitorFilters} filters
 * @param {Visitor[]} known
 */
export function onlyVisitor(matching, filters, known) {
  const [only, ...others] = matching;
  if (only && others.length === 0) return only;
  const words = Object.entries(filters).map(([name, value]) => `${name}='${value}'`);
  const expected = words.length ? `visitor with ${words.join(" and ")}` : "visitor";
  if (only)
    throw new ExpectationError(`expected one ${expected}, but there are ${matching.length}:\n${list(matching)}`);
  const there = known.length ? `there are:\n${list(known)}` : "there are no visitors";
  throw new ExpectationError(`there is no ${expected}; ${there}`);
}

/** @param {Event} event */
function nameOf({ id, event, endpoint, visitor_id: visitor }) {
  return `#${id} ${event === null ? endpoint : `'${event}'`}${visitor === null ? "" : ` visitor=${visitor}`}`;
}

/** @param {Hint} hint */
function sentence({ path, message, rule }) {
  const place = path.slice(1).replaceAll("/", ".").replaceAll("~1", "/").replaceAll("~0", "~");
  return `${path ? `${place}: ` : ""}${message} [${rule}]`;
}

/** @param {Visitor[]} visitors */
function list(visitors) {
  const lines = visitors.slice(0, MAX_VISITORS).map((visitor) => `${visitor.visitor_id}: ${identifiers(visitor)}`);
  const more = visitors.length - lines.length;
  return [...lines, ...(more > 0 ? [`and ${more} more`] : [])].map((line) => `  ${line}`).join("\n");
}

/** @param {Visitor} visitor */
function identifiers({ identifiers: { external_id, email, anonymous_id } }) {
  const given = Object.entries({ external_id, email, anonymous_id }).filter(([, value]) => value !== null);
  return given.map(([name, value]) => `${name}='${value}'`).join(", ") || "no other identifier";
}
