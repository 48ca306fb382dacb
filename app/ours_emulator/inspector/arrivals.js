// The list of what arrived: a page of the store, and after it what the stream brings.
/** @import { Arrival, Answer } from "types" */
/** @import { Liveness } from "./stream.js" */
/** @import { Place } from "./place.js" */
import { ApiError, UNREACHABLE, get, messageOf } from "./api.js";
import { FILTERS, place } from "./place.js";
import { isListed, report } from "./report.js";
import { refreshStatus, refreshStatusSoon } from "./status.js";
import { Store } from "./store.js";
import { Follower } from "./stream.js";

const PAGE = 100;
const MOST_ROWS = 500;
const RELOAD_MS = 300;

/** @typedef {Omit<Arrival, "event_properties" | "default_properties" | "visitor_properties" | "identity_context">} Row */

/**
 * What the list shows, the latest to arrive first. `held` came while somebody read further down.
 * @typedef {object} Arrivals
 * @property {readonly Row[]} rows
 * @property {readonly Row[]} held
 * @property {string | null} cursor
 * @property {number} evicted
 * @property {boolean} loading
 * @property {string} error
 * @property {Liveness} liveness
 */
/** @type {Store<Arrivals>} */
export const arrivals = new Store(
  /** @type {Arrivals} */ ({
    rows: [],
    held: [],
    cursor: null,
    evicted: 0,
    loading: true,
    error: "",
    liveness: "connecting",
  }),
);

/** @type {Follower | null} */
let follower = null;
/** The newest id that there was when the list was loaded, until the stream goes on from there. @type {number | null} */
let newestListed = null;
/** What arrived since the list was asked for. @type {readonly Row[]} */
let recent = [];
/** @type {Row[]} */
let incoming = [];
let holding = false;
let loading = new AbortController();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let searching;
/** Whether something arrived while a search was running, which may not have seen it. */
let searchAgain = false;

/**
 * Load the list that the URL asks for.
 * @returns {Promise<number | null>} the newest id there is, if all of it was asked for
 */
export async function load() {
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  recent = [];
  searchAgain = false;
  arrivals.change({ loading: true });
  const isWhole = FILTERS.every((name) => !place.value[name]);
  let newest = null;
  try {
    void refreshStatus();
    const page = await listed(place.value, null, signal);
    if (signal.aborted) return null;
    show(page);
    if (isWhole) newest = page.items[0]?.id ?? 0;
  } catch (error) {
    if (signal.aborted) return null;
    arrivals.change({ loading: false, error: messageOf(error) });
  }
  if (searchAgain) searchSoon();
  return newest;
}

/** @param {Answer<"get", "/debug/events">} page */
function show(page) {
  const items = /** @type {Arrival[]} */ (page.items);
  const rows = merged(items.map(rowOf), recent);
  arrivals.change({
    rows,
    held: [],
    cursor: page.next_cursor ?? null,
    evicted: page.evicted ?? 0,
    loading: false,
    error: "",
  });
}

/** Load what is older than the list. */
export async function loadOlder() {
  const { cursor, rows } = arrivals.value;
  try {
    const page = await listed(place.value, cursor, loading.signal);
    const older = /** @type {Arrival[]} */ (page.items);
    arrivals.change({
      rows: merged(rows, older.map(rowOf)),
      cursor: page.next_cursor ?? null,
    });
  } catch (error) {
    arrivals.change({ error: messageOf(error) });
  }
}

/**
 * @param {Place} asked
 * @param {string | null} cursor
 * @param {AbortSignal} signal
 */
const listed = (asked, cursor, signal) =>
  get("/debug/events", {
    signal,
    query: { ...filtersIn(asked), q: asked.q ?? null, order: "arrival", limit: PAGE, cursor },
  });

/** @param {Place} asked */
const filtersIn = ({ outcome, name, visitor, request, hint, reason, since }) => ({
  outcome: /** @type {"any"} */ (outcome ?? "any"),
  event: name ?? null,
  visitor_id: visitor ?? null,
  request_id: request ? Number(request) : null,
  hint: hint ?? null,
  reason: reason ?? null,
  since: since ? Number(since) : null,
});

/** Show the list, and follow what arrives from then on. */
export async function follow() {
  newestListed = await load();
  if (report) return;
  follower = new Follower({ receipt: receive, reset: forget, state: setLiveness }, newestListed);
}

/** @param {Liveness} liveness @param {unknown} [error] why the stream is lost, if it did not just end */
function setLiveness(liveness, error) {
  arrivals.change({ liveness });
  if (liveness === "lost" && (arrivals.value.loading || error instanceof ApiError))
    arrivals.change({ loading: false, error: error ? messageOf(error) : UNREACHABLE });
  if (liveness !== "live") return;
  // The stream goes on where the list ended, unless that is not known: then the list is loaded once the stream is open,
  // so that nothing can arrive between the two. And again whenever it was closed, as an emulator that was started again
  // may have given the same ids to other events.
  if (newestListed === null) {
    incoming = [];
    void load();
  }
  newestListed = null;
}

/** @param {Arrival} arrival */
function receive(arrival) {
  if (incoming.push(rowOf(arrival)) === 1) requestAnimationFrame(addIncoming);
}

/** Add what came since the last frame, however much that is. */
function addIncoming() {
  const filters = filtersIn(place.value);
  const asked = place.value.q ? [] : incoming.filter((row) => isListed(row, filters));
  incoming = [];
  refreshStatusSoon();
  const { rows, held, loading: isLoading } = arrivals.value;
  // A search that is running is not given up for what arrives meanwhile: it would never end.
  if (place.value.q && isLoading) searchAgain = true;
  else if (place.value.q) searchSoon();
  if (asked.length === 0) return;
  if (isLoading) recent = merged(asked, recent);
  if (holding) arrivals.change({ held: merged(asked, held) });
  else arrivals.change({ rows: merged(asked, rows) });
}

/** Search again soon: what a text is found in only the emulator knows. */
function searchSoon() {
  searching ??= setTimeout(() => {
    searching = undefined;
    void load();
  }, RELOAD_MS);
}

/** @param {string | null} account */
function forget(account) {
  /** @param {Row} arrival */
  const stays = (arrival) => account !== null && arrival.account !== account;
  incoming = incoming.filter(stays);
  recent = recent.filter(stays);
  void load();
}

/**
 * Hold back what arrives, or show it again.
 * @param {boolean} hold
 */
export function setHolding(hold) {
  holding = hold;
  if (!hold && arrivals.value.held.length) showHeld();
}

export function showHeld() {
  const { rows, held } = arrivals.value;
  arrivals.change({ rows: merged(held, rows), held: [] });
}

export function togglePaused() {
  follower?.setPaused(!follower.paused);
}

/**
 * What the list needs of an arrival: all properties of a visitor, five hundred times, can fill the memory.
 * @param {Arrival} arrival
 * @returns {Row}
 */
function rowOf({ event_properties: _, default_properties: _1, visitor_properties: _2, identity_context: _3, ...row }) {
  return row;
}

/**
 * @param {readonly Row[]} some
 * @param {readonly Row[]} others
 */
function merged(some, others) {
  const byId = new Map([...others, ...some].map((arrival) => [arrival.id, arrival]));
  return [...byId.values()].sort((a, b) => b.id - a.id).slice(0, MOST_ROWS);
}

/** Load the list again whenever the URL asks for another one. */
export function followPlace() {
  let shown = filtersOf(place.value);
  place.subscribe(() => {
    const asked = filtersOf(place.value);
    if (asked !== shown && place.value.q) searchSoon();
    else if (asked !== shown) void load();
    shown = asked;
  });
}

/** @param {Place} asked */
const filtersOf = (asked) => FILTERS.map((name) => `${name}=${asked[name] ?? ""}`).join("\n");
