// What stands beside the list: counts, accounts, clock and faults.
/** @import { AccountState, FaultState, Summary } from "types" */
import { get } from "./api.js";
import { account } from "./place.js";
import { report } from "./report.js";
import { Store } from "./store.js";

const SOON_MS = 400;
const OFTEN_MS = 5000;

/**
 * @typedef {object} Status
 * @property {Summary | null} summary
 * @property {readonly AccountState[]} accounts
 * @property {readonly FaultState[]} faults
 */
/** @type {Store<Status>} */
export const status = new Store(/** @type {Status} */ ({ summary: null, accounts: [], faults: [] }));
/** @type {ReturnType<typeof setTimeout> | undefined} */
let soon;

/** Ask for all of it. */
export async function refreshStatus() {
  const [summary, accounts, faults] = await Promise.all([
    get("/debug/summary"),
    get("/debug/accounts"),
    account === null ? { items: [] } : get("/debug/faults"),
  ]);
  status.set({ summary: /** @type {Summary} */ (summary), accounts: accounts.items, faults: faults.items });
}

/** Ask for all of it soon: once, however often this is called until then. */
export function refreshStatusSoon() {
  soon ??= setTimeout(() => {
    soon = undefined;
    refreshIfVisible();
  }, SOON_MS);
}

/** Faults and clocks change without an arrival, so they are asked for again and again. */
export function keepStatusFresh() {
  if (!report) setInterval(refreshIfVisible, OFTEN_MS);
}

function refreshIfVisible() {
  // A failure shows in the list, whose stream ends.
  if (!document.hidden) refreshStatus().catch(() => undefined);
}
