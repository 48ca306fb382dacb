// A report: the page as one file, which has all that it shows in it and asks nobody.
/** @import { AccountState, Arrival, EventDetail, FaultState, RequestDetail, Rule, Summary, Visitor } from "types" */

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
 * @property {EventDetail[]} events the last to arrive first
 * @property {RequestDetail[]} requests
 * @property {Visitor[]} visitors
 */

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
  "/debug/rules": ({ rules }) => page(rules),
  "/debug/rules/counts": ({ rules, events }) => page(rules.map(({ id }) => ruleCount(id, events))),
  "/debug/calls": ({ calls }) => page(calls),
  "/debug/events": ({ events }, params) => page(events.filter((event) => isAskedFor(event, params))),
  "/debug/events/{event_id}": ({ events }, { event_id }) => events.find(({ id }) => id === event_id),
  "/debug/requests": ({ requests }, { call_id }) => page(requests.filter((one) => !call_id || one.call_id === call_id)),
  "/debug/requests/{request_id}": ({ requests }, { request_id }) => requests.find(({ id }) => id === request_id),
  "/debug/visitors": ({ visitors }, { q }) => page(visitors.filter((visitor) => !q || hasText(visitor, q))),
  "/debug/visitors/{visitor_id}": ({ visitors }, { visitor_id: asked }) =>
    visitors.find(({ visitor_id }) => visitor_id === asked),
  "/debug/visitors/{visitor_id}/events": ({ events }, { visitor_id: asked, order }) => {
    const about = events.filter(({ visitor_id }) => visitor_id === asked);
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

/** @param {Arrival} event @param {Params} params */
function isAskedFor(event, { outcome, event: name, visitor_id, request_id, hint, reason, since, q }) {
  return (
    (outcome === "any" || event.outcome === outcome) &&
    (!name || event.event === name) &&
    (!visitor_id || event.visitor_id === visitor_id) &&
    (!request_id || event.request_id === request_id) &&
    (!hint || hasHint(event, hint)) &&
    (!reason || event.reason?.rule === reason) &&
    (!since || Date.parse(event.received_at) >= since) &&
    (!q || hasText(event, q))
  );
}

/** @param {Arrival} event @param {string} rule */
const hasHint = ({ hints }, rule) => hints.some((hint) => hint.rule === rule);

/** @param {string} rule @param {readonly Arrival[]} events */
const ruleCount = (rule, events) => ({
  rule,
  hinted: events.filter((event) => hasHint(event, rule)).length,
  refused: events.filter(({ reason }) => reason?.rule === rule).length,
});

/** @param {object} record @param {string} text */
const hasText = (record, text) => JSON.stringify(Object.values(record)).toLowerCase().includes(text.toLowerCase());
