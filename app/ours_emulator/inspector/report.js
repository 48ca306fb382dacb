// A report: the page as one file, which has all that it shows in it and asks nobody.
/** @import { Row } from "./arrivals.js" */
/** @import { AccountState, EventDetail, FaultState, RequestDetail, Rule, Summary, Visitor } from "types" */

/**
 * @typedef {object} Report
 * @property {string | null} account
 * @property {string} url where the page of the account was
 * @property {string} title
 * @property {readonly string[]} failures
 * @property {string} made_at
 * @property {string} version
 * @property {readonly string[]} missing
 * @property {Summary} summary
 * @property {AccountState[]} accounts
 * @property {FaultState[]} faults
 * @property {Rule[]} rules
 * @property {{call_id: number}[]} calls
 * @property {ReportEvent[]} events the last to arrive first
 * @property {RequestDetail[]} requests
 * @property {ReportVisitor[]} visitors
 */

/** @typedef {EventDetail & {named: Record<string, string>, texts: string[]}} ReportEvent and what else is searched */
/** @typedef {Visitor & {names: Record<string, string>}} ReportVisitor a visitor with what an event may call them */

const data = document.getElementById("report")?.textContent;
/** @type {Report | null} what the file has; null on the page of an emulator that runs */
export const report = data ? JSON.parse(data) : null;

/** @typedef {Record<string, any>} Params what a call says in its path and its query */

/** @param {readonly unknown[]} items */
const page = (items) => ({ items, total: items.length, next_cursor: null, evicted: 0 });

/**
 * What the debug API would answer, by its paths; undefined for what is not in the report.
 * @type {Record<string, (report: Report, params: Params) => unknown>}
 */
const ANSWERS = {
  "/debug/summary": ({ summary }) => summary,
  "/debug/accounts": ({ accounts }) => page(accounts),
  "/debug/faults": ({ faults }) => page(faults),
  "/debug/rules": ({ rules, accounts }, { account }) => {
    const revision = accounts.find((one) => one.account === account)?.revision;
    return page(rules.filter(({ revisions }) => !revision || revisions.includes(revision)));
  },
  "/debug/rules/counts": ({ events }) => page(ruleCounts(events)),
  "/debug/calls": ({ calls }) => page(calls),
  "/debug/events": ({ events }, params) => page(events.filter((event) => isAskedFor(event, params))),
  "/debug/events/{event_id}": ({ events }, { event_id }) => events.find(({ id }) => id === event_id),
  "/debug/requests": ({ requests }, { call_id }) => page(requests.filter((one) => !call_id || one.call_id === call_id)),
  "/debug/requests/{request_id}": ({ requests }, { request_id }) => requests.find(({ id }) => id === request_id),
  "/debug/visitors": ({ visitors }, { q }) => page(visitors.filter((visitor) => !q || visitorHasText(visitor, q))),
  "/debug/visitors/{visitor_id}": ({ visitors }, { visitor_id: asked }) =>
    visitors.find(({ visitor_id }) => visitor_id === asked),
  "/debug/visitors/{visitor_id}/events": ({ events, visitors }, { visitor_id: asked, order }) => {
    const visitor = visitors.find(({ visitor_id }) => visitor_id === asked);
    const about = events.filter((event) => event.visitor_id === asked || (visitor && isNamed(event, visitor)));
    return page(order === "time" ? about.sort((a, b) => b.time - a.time) : about);
  },
};

/**
 * What the debug API would answer.
 * @param {Report} from
 * @param {string} path as the API's document has it
 * @param {Params} params
 */
export function answerOf(from, path, params) {
  return ANSWERS[path]?.(from, params);
}

/** @param {ReportEvent} event @param {Params} params */
const isAskedFor = (event, { q, ...filters }) =>
  isListed(event, filters) &&
  (!q || textsOf(event).some((text) => typeof text === "string" && folded(text).includes(folded(q))));

/**
 * Whether a list with those filters has an event.
 * @param {Row} event
 * @param {Params} filters
 */
export function isListed(event, { outcome, event: name, visitor_id, distinct_id, request_id, hint, reason, since }) {
  return (
    (outcome === "any" || event.outcome === outcome) &&
    (!name || event.event === name) &&
    (!visitor_id || event.visitor_id === visitor_id) &&
    (!distinct_id || event.distinct_id === distinct_id) &&
    (!request_id || event.request_id === request_id) &&
    (!hint || hasHint(event, hint)) &&
    (!reason || event.reason?.rule === reason) &&
    (!since || Date.parse(event.received_at) >= since)
  );
}

/** What a search looks through, as the store does; numbers, default properties and what is not shown are in `texts`. @param {ReportEvent} event */
const textsOf = (event) => [
  ...partsIn([event.event, event.distinct_id, event.visitor_id, Object.values(event.named)]),
  ...partsIn([event.event_properties, event.identity_context], true),
  ...event.texts,
];

/** @param {Pick<EventDetail, "hints">} event @param {string} rule */
const hasHint = ({ hints }, rule) => hints.some((hint) => rule === "any" || hint.rule === rule);

/** @param {readonly ReportEvent[]} events */
function ruleCounts(events) {
  const rules = new Set(
    events.flatMap(({ hints, reason }) => [...hints, ...(reason ? [reason] : [])].map((one) => one.rule)),
  );
  return [...rules].map((rule) => ({
    rule,
    hinted: events.filter((event) => hasHint(event, rule)).length,
    refused: events.filter(({ reason }) => reason?.rule === rule).length,
  }));
}

/** Text as Python's casefold compares it, to which a dotless i is no I. @param {string} text */
const folded = (text) => {
  const parts = text.toLowerCase().split("ı");
  return parts.map((part) => part.toUpperCase()).join("ı");
};

/**
 * Whether a visitor's ids or values have a text in them, in any case of ASCII: so the store compares visitors.
 * @param {Visitor} visitor
 * @param {string} text
 */
function visitorHasText({ identifiers, properties, custom_properties, consent, data }, text) {
  const asked = lowered(text);
  return partsIn([identifiers, properties, custom_properties, consent, data]).some(
    (one) => one !== null && lowered(String(one)).includes(asked),
  );
}

/** @param {string} text */
const lowered = (text) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

/** What a value consists of, with the names in it if asked. @param {any} value @returns {unknown[]} */
const partsIn = (value, names = false) =>
  typeof value === "object" && value
    ? Object.entries(value).flatMap(([name, inner]) => [
        ...(names && !Array.isArray(value) ? [name] : []),
        ...partsIn(inner, names),
      ])
    : [value];

/**
 * Whether an event of no visitor named an identifier that the visitor has.
 * @param {ReportEvent} event
 * @param {ReportVisitor} visitor
 */
const isNamed = ({ account, visitor_id, named }, { account: owner, names }) =>
  visitor_id === null && account === owner && Object.entries(named).some(([name, value]) => names[name] === value);
