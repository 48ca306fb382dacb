// What stands beside the list: counts, accounts, clock and faults.
/** @import { AccountState, FaultState, Summary } from "types" */
import { get, messageOf } from "./api.js";
import { account } from "./place.js";
import { report } from "./report.js";
import { Store, useStore } from "./store.js";

const SOON_MS = 400;
const OFTEN_MS = 5000;

/**
 * @typedef {object} Status
 * @property {Summary | null} summary
 * @property {readonly AccountState[]} accounts
 * @property {readonly FaultState[]} faults
 * @property {string} error why asking failed the last time
 */
/** @type {Store<Status>} */
export const status = new Store(/** @type {Status} */ ({ summary: null, accounts: [], faults: [], error: "" }));
/** @type {ReturnType<typeof setTimeout> | undefined} */
let soon;

/** Changes with each arrival, so that what is shown is loaded again. */
export const useNewest = () => useStore(status).summary?.newest_event ?? 0;

/** Ask for all of it. A failure is a part of the status. */
export async function refreshStatus() {
  try {
    const [summary, { items: accounts }, { items: faults }] = await Promise.all([
      get("/debug/summary"),
      get("/debug/accounts"),
      account === null ? { items: [] } : get("/debug/faults"),
    ]);
    status.set({ summary: /** @type {Summary} */ (summary), accounts, faults, error: "" });
  } catch (error) {
    status.change({ error: messageOf(error) });
  }
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
  if (!document.hidden) void refreshStatus();
}
