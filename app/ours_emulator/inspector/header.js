// The header: which account, whether it is live, its clock and faults; theme, help and reset.
/** @import { AccountState, FaultState } from "types" */
/** @import { Liveness } from "./stream.js" */
import { locked, post, unlock } from "./api.js";
import { arrivals, load, togglePaused } from "./arrivals.js";
import { NOWHERE, account, choose, place, root } from "./place.js";
import { Dialog, Link, notice, perform } from "./parts.js";
import { report } from "./report.js";
import { status } from "./status.js";
import { Store, useStore } from "./store.js";
import { duration, fullTime, plural } from "./text.js";
import { html, useState } from "./vendor/library.js";

const DEFAULT_REVISION = "2026-05";
const THEME = "ours-emulator-theme";
/** Which dialog is open. */
export const opened = new Store(/** @type {"" | "help" | "reset"} */ (""));

export function Header() {
  useStore(place);
  const dialog = useStore(opened);
  return html`<header>
    <h1>ours-emulator</h1>
    ${!report && html`<${AccountSwitch} />`}
    <${Views} />
    <span class="space"></span>
    ${!report && html`<${LiveButton} />`}
    <div class="states"><${Settings} /><${ClockState} /><${Faults} /><${Evicted} /><${Notes} /></div>
    ${!report && html`<button type="button" onClick=${() => opened.set("reset")}>Reset…</button>`}
    <${ThemeButton} />
    <button type="button" class="icon" aria-label="Keys" title="Keys (?)" onClick=${() => opened.set("help")}>?</button>
    ${dialog === "reset" && html`<${ResetDialog} />`} ${dialog === "help" && html`<${HelpDialog} />`}
  </header>`;
}

/** @type {readonly (readonly [string | undefined, string])[]} */
const VIEWS = [
  [undefined, "Arrivals"],
  ["visitors", "Visitors"],
  ["calls", "Calls"],
  ["verify", "Missing?"],
  ["control", "Control"],
  ["rules", "Rules"],
];
/** What asks or steers an emulator. */
const NOT_IN_REPORTS = ["verify", "control"];

function Views() {
  const { view } = useStore(place);
  return html`<nav aria-label="Views">
    ${VIEWS.filter(([name]) => !report || !NOT_IN_REPORTS.includes(name ?? "")).map(([name, label]) => html`<${Link} key=${label} to=${{ ...NOWHERE, view: name }} current=${view === name}>${label}<//>`)}
    ${!report && html`<a href=${new URL("docs", document.baseURI)}>API</a>`}
  </nav>`;
}

function AccountSwitch() {
  const { accounts } = useStore(status);
  const names = [...new Set([...accounts.map((one) => one.account), ...(account === null ? [] : [account])])].sort();
  /** @param {Event} event */
  const change = (event) => {
    const { value } = /** @type {HTMLSelectElement} */ (event.currentTarget);
    location.assign(new URL(value && `accounts/${value}/`, root));
  };
  return html`<label class="account">
    <span class="sr">Account</span>
    <select onChange=${change} value=${account ?? ""}>
      <option value="">All accounts</option>
      ${names.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
    </select>
  </label>`;
}

/** @type {Record<Liveness, string>} */
const LIVENESS = { connecting: "Connecting", live: "Live", lost: "Reconnecting", paused: "Paused" };

function LiveButton() {
  const { liveness } = useStore(arrivals);
  const paused = liveness === "paused";
  return html`<button
    type="button"
    class=${`live ${liveness}`}
    aria-pressed=${paused ? "false" : "true"}
    title=${paused ? "Follow what arrives" : "Stop following what arrives"}
    onClick=${togglePaused}
  >
    ${LIVENESS[liveness]}
  </button>`;
}

/** What is set otherwise than by default. */
function Settings() {
  return shownAccounts(useStore(status).accounts).flatMap((one) =>
    settingsOf(one).map(
      (text) => html`<span key=${one.account + text} class="chip">${named(one.account)}${text}</span>`,
    ),
  );
}

/** @param {AccountState} account */
const settingsOf = ({ revision, allowed_events, experiment_keys, planned_events }) => [
  ...(revision === DEFAULT_REVISION ? [] : [`revision ${revision}`]),
  ...(allowed_events ? [`allow-list: ${plural(allowed_events.length, "name")}`] : []),
  ...(experiment_keys.length ? [plural(experiment_keys.length, "experiment")] : []),
  ...(planned_events ? [`plan: ${plural(planned_events.length, "event")}`] : []),
];

function ClockState() {
  const { accounts } = useStore(status);
  const changed = shownAccounts(accounts).filter(({ clock }) => clock && clock.state !== "real");
  return changed.map(
    ({ account: name, clock }) =>
      html`<span key=${name} class="chip" title="The clock of the account">${named(name)}${clockText(clock)}</span>`,
  );
}

/** @param {AccountState["clock"]} clock */
function clockText(clock) {
  if (clock?.state === "frozen") return `clock frozen at ${fullTime(clock.now)}`;
  const ahead = (clock?.now_ms ?? 0) - (report ? Date.parse(report.made_at) : Date.now());
  return `clock ${duration(Math.abs(ahead))} ${ahead < 0 ? "behind" : "ahead"}`;
}

function Faults() {
  const { accounts, faults } = useStore(status);
  if (account !== null)
    return faults.map(
      (fault) =>
        html`<span key=${fault.name} class=${fault.used_up ? "chip" : "chip fault"}>${faultText(fault)}</span>`,
    );
  return accounts
    .filter((one) => one.faults > 0)
    .map(
      (one) => html`<span key=${one.account} class="chip fault">${one.account}: ${plural(one.faults, "fault")}</span>`,
    );
}

function Evicted() {
  const { summary } = useStore(status);
  if (!summary?.evicted_events) return null;
  return html`<span class="chip">${plural(summary.evicted_events, "event")} removed to make room</span>`;
}

/** What is no mistake, but good to know of what sends to the accounts. */
function Notes() {
  const { accounts } = useStore(status);
  const notes = shownAccounts(accounts).flatMap((one) => one.notes.map((note) => named(one.account) + note));
  if (!notes.length) return null;
  return html`<details class="notes">
    <summary>${plural(notes.length, "note")}</summary>
    <ul tabindex="0" aria-label="Notes">
      ${notes.map((note) => html`<li key=${note}>${note}</li>`)}
    </ul>
  </details>`;
}

/** @param {FaultState} fault */
const faultText = ({ name, hits, times, used_up }) =>
  `fault ${name}: ${times ? `${hits} of ${times} hits` : plural(hits, "hit")}${used_up ? ", used up" : ""}`;

/** @param {readonly AccountState[]} accounts */
const shownAccounts = (accounts) => accounts.filter((one) => account === null || one.account === account);
/** @param {string} name */
const named = (name) => (account === null ? `${name}: ` : "");

/** What outlives the tab. A frame without an origin, as build servers show artifacts in, has none. */
function storage() {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

/** Use the theme that was chosen before; without a choice the system decides. */
export function restoreTheme() {
  const theme = storage()?.getItem(THEME);
  if (theme) document.documentElement.dataset["theme"] = theme;
}

const isDark = () => {
  const chosen = document.documentElement.dataset["theme"];
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

function ThemeButton() {
  const [dark, setDark] = useState(isDark());
  const change = () => {
    const theme = dark ? "light" : "dark";
    document.documentElement.dataset["theme"] = theme;
    storage()?.setItem(THEME, theme);
    setDark(!dark);
  };
  const label = `Use the ${dark ? "light" : "dark"} theme`;
  return html`<button type="button" class="icon" aria-label=${label} title=${label} onClick=${change}>
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <circle cx="8" cy="8" r="6" class="outline" />
      <path d="M8 2a6 6 0 0 1 0 12z" />
    </svg>
  </button>`;
}

function ResetDialog() {
  const { summary } = useStore(status);
  const close = () => opened.set("");
  const subject = account === null ? "all accounts" : `account ${account}`;
  const body = account === null ? { all: true } : { account, all: false };
  const reset = async () => {
    close();
    await perform(() => post("/debug/reset", { body }), `${subject[0]?.toUpperCase()}${subject.slice(1)} was reset.`);
    choose({ event: undefined });
    await load();
  };
  const counts = summary && `${plural(summary.visitors, "visitor")} and ${plural(summary.requests, "request")}`;
  return html`<${Dialog} title=${`Reset ${subject}?`} close=${close}>
    <p>
      This deletes ${counts ?? "everything stored"} with all their events, removes the faults and sets the clock back.
      The allow-list, tokens, revision, experiments and plan stay.
    </p>
    <p><button type="button" class="danger" onClick=${reset}>Reset ${subject}</button></p>
  <//>`;
}

const KEYS = [
  ["j", "next event in the list"],
  ["k", "previous event in the list"],
  ["/", "search"],
  ["Esc", "close the event, or the search"],
  ["?", "this list"],
];

const HelpDialog = () =>
  html`<${Dialog} title="Keys" close=${() => opened.set("")}>
    <dl class="keys">
      ${KEYS.map(
        ([key, meaning]) =>
          html`<div key=${key}>
            <dt><kbd>${key}</kbd></dt>
            <dd>${meaning}</dd>
          </div>`,
      )}
    </dl>
  <//>`;

/** Asks for the admin token, if the emulator does. */
export function TokenForm() {
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    const input = /** @type {HTMLFormElement} */ (event.currentTarget).elements.namedItem("token");
    unlock(/** @type {HTMLInputElement} */ (input).value.trim());
    location.reload();
  };
  return html`<main class="token">
    <form onSubmit=${submit}>
      <h2>Admin token</h2>
      <p>This emulator was started with <code>--admin-token</code>. The token stays in this tab.</p>
      <p>
        <label>Token <input name="token" type="password" autocomplete="off" required /></label> <button>Use it</button>
      </p>
    </form>
  </main>`;
}

/** Says what was done last. */
export function Notice() {
  const text = useStore(notice);
  return html`<p role="status" class=${text ? "notice" : "sr"} onAnimationEnd=${() => notice.set("")}>${text}</p>`;
}

export const useLocked = () => useStore(locked);
