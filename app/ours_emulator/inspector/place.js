// The URL is the state of the page: what is shown can be reloaded, gone back to and sent to somebody else.
import { report } from "./report.js";
import { Store } from "./store.js";
import { encoded, pairsIn } from "./percent.js";

/** The parts of a place that choose which arrivals are listed. */
export const FILTERS = /** @type {const} */ (["outcome", "name", "visitor", "request", "hint", "reason", "since", "q"]);
const NAMES = /** @type {const} */ (["view", "event", ...FILTERS, "order", "match"]);
/** @typedef {(typeof NAMES)[number]} Name */
/** @typedef {Partial<Record<Name, string>>} Place */

/** @type {Changes} nothing of the present place */
export const NOWHERE = Object.fromEntries(NAMES.map((name) => [name, undefined]));

/** Where the page is served, with a slash at its end: at the root, or below `/accounts/NAME`. */
export const base = new URL("./", report?.url ?? location.href);
/** The address of the page without a choice. A file cannot name itself by its folder. */
const home = report ? location.pathname : "./";
const scoped = /^(.*\/)accounts\/([^/]+)\/$/.exec(base.pathname);
/** The account that the page is about; null for all of them. */
export const account = scoped ? decodeURIComponent(scoped[2] ?? "") : null;
/** Where the emulator is served. */
export const root = new URL(scoped ? (scoped[1] ?? "/") : base.pathname, base);

/** @returns {Place} */
function current() {
  const params = new Map(pairsIn(location.search));
  /** @type {Place} */
  const read = {};
  for (const name of NAMES) {
    const value = params.get(name);
    if (value) read[name] = value;
  }
  return read;
}

/** What the URL says. */
export const place = new Store(current());
addEventListener("popstate", () => place.set(current()));

/** @typedef {{[name in Name]?: string | undefined}} Changes */

/**
 * The address of the present place with *changes*; undefined takes a part away.
 * @param {Changes} changes
 */
export function address(changes) {
  const next = { ...place.value, ...changes };
  const query = NAMES.flatMap((name) => (next[name] ? [`${name}=${encoded(next[name])}`] : [])).join("&");
  return query ? `?${query}` : home;
}

/**
 * Go to another place. Choosing is a step of the history.
 * @param {Changes} changes
 */
export function choose(changes) {
  const target = address(changes);
  if (new URL(target, base).search === location.search) return;
  history.pushState(null, "", target);
  place.set(current());
}

/**
 * Go to another place while somebody types, which is no step of the history.
 * @param {Changes} changes
 */
export function retype(changes) {
  history.replaceState(null, "", address(changes));
  place.set(current());
}
