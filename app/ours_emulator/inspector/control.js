// Faults, the clock, the allow-list and the tracking plan of an account. Each form shows the command that does the same.
/** @import { AccountState, FaultState } from "types" */
import { get, hasToken, patch, put, remove, urlOf } from "./api.js";
import { quoted } from "./copies.js";
import { Choice, CopyButton, Problem, perform, useForm, useLoaded } from "./parts.js";
import { account, root } from "./place.js";
import { refreshStatus, status } from "./status.js";
import { useStore } from "./store.js";
import { fullTime, plural } from "./text.js";
import { html, useState } from "./vendor/library.js";

export function Control() {
  const { accounts, faults } = useStore(status);
  if (account === null) return html`<${ChooseAccount} accounts=${accounts} />`;
  const state = accounts.find((one) => one.account === account);
  return html`<main class="view scroll" tabindex="-1">
    <h2>Control of account ${account}</h2>
    <${Faults} faults=${faults} />
    <${PlanFault} />
    <${Clock} state=${state} />
    <${TrackingPlan} state=${state} />
    <${AllowList} state=${state} />
  </main>`;
}

/** @param {{accounts: readonly AccountState[]}} properties */
const ChooseAccount = ({ accounts }) =>
  html`<main class="view scroll" tabindex="-1">
    <h2>Control</h2>
    <p>Faults, clock, allow-list and tracking plan are those of an account. Choose one:</p>
    <ul class="entries">
      ${["default", ...accounts.map((one) => one.account).filter((name) => name !== "default")].map(
        (name) => html`<li key=${name}><a href=${new URL(`accounts/${name}/?view=control`, root)}>${name}</a></li>`,
      )}
    </ul>
  </main>`;

/** @param {{faults: readonly FaultState[]}} properties */
const Faults = ({ faults }) =>
  html`<section>
    <h3>${faults.length ? plural(faults.filter(isActive).length, "active fault") : "No faults"}</h3>
    <ul class="entries">
      ${faults.map((fault) => html`<${Fault} key=${fault.name} fault=${fault} />`)}
    </ul>
  </section>`;

/** @param {FaultState} fault */
const isActive = ({ used_up }) => !used_up;

/** @param {{fault: FaultState}} properties */
function Fault({ fault: { name, account: _, matched, hits, used_up, ...plan } }) {
  const drop = () => change(() => remove("/debug/faults/{name}", { path: { name } }), `Fault ${name} was removed.`);
  return html`<li>
    <p class="buttons">
      <b>${name}</b>
      <span class="facts">${plural(matched, "request")} matched, ${plural(hits, "hit")}${used_up && ", used up"}</span>
      <button type="button" aria-label=${`Remove fault ${name}`} onClick=${drop}>Remove</button>
    </p>
    <pre>${JSON.stringify(plan, null, 1).replace(/\n\s*/g, " ")}</pre>
  </li>`;
}

/** @type {Record<string, (value: number) => object>} */
const EFFECTS = {
  "answer with a status": (status) => ({ answer: { status } }),
  "answer 429, Retry-After in seconds": (seconds) => ({ answer: { status: 429, retry_after: seconds } }),
  "answer late, by milliseconds": (delay) => ({ answer: { delay_ms: delay } }),
  "reset the connection": () => ({ answer: { connection: "reset" } }),
  "never answer": () => ({ answer: { connection: "hang" } }),
  "close in the middle of the answer": () => ({ answer: { connection: "close" } }),
  "limit the rate, per second": (rate) => ({ rate_limit: { per_second: rate } }),
};

function PlanFault() {
  const { form, edit } = useForm({ name: "busy", effect: "answer with a status", value: "503", path: "", times: "" });
  const body = {
    ...(form.path && { match: { path: form.path } }),
    ...EFFECTS[form.effect]?.(Number(form.value)),
    ...(form.times && { times: Number(form.times) }),
  };
  const path = { name: form.name };
  return html`<section>
    <h3>Plan a fault</h3>
    <form class="fields" onInput=${edit} onSubmit=${prevented}>
      <label>Name <input name="name" value=${form.name} /></label>
      <${Choice} label="Effect" name="effect" value=${form.effect} choices=${Object.keys(EFFECTS)} />
      <label>Value <input name="value" type="number" value=${form.value} /></label>
      <label>Path <input name="path" value=${form.path} placeholder="any, or /track" /></label>
      <label>Times <input name="times" type="number" min="1" value=${form.times} placeholder="always" /></label>
    </form>
    <${Command}
      url=${urlOf("/debug/faults/{name}", path)}
      body=${body}
      label="Plan it"
      done="The fault is planned."
      run=${() => put("/debug/faults/{name}", { path, body })}
    />
  </section>`;
}

/** @type {Record<string, (value: string) => {freeze: any} | {set: any} | {advance_ms: number} | {resume: true}>} */
const CLOCK = {
  "freeze it now": () => ({ freeze: true }),
  "freeze it at": (value) => ({ freeze: value }),
  "set it to": (value) => ({ set: value }),
  "advance it by seconds": (value) => ({ advance_ms: Number(value) * 1000 }),
  "let it run in real time": () => ({ resume: true }),
};

/** @param {{state: AccountState | undefined}} properties */
function Clock({ state }) {
  const { form, edit } = useForm({ action: "freeze it now", value: "2026-01-01T00:00:00Z" });
  const body = CLOCK[form.action]?.(form.value) ?? {};
  return html`<section>
    <h3>Clock: ${state?.clock ? `${state.clock.state}, ${fullTime(state.clock.now)}` : "real"}</h3>
    <form class="fields" onInput=${edit} onSubmit=${prevented}>
      <${Choice} label="Action" name="action" value=${form.action} choices=${Object.keys(CLOCK)} />
      <label>Value <input name="value" value=${form.value} /></label>
    </form>
    <${Command}
      url=${urlOf("/debug/clock")}
      body=${body}
      label="Change the clock"
      done="The clock was changed."
      run=${() => put("/debug/clock", { body })}
    />
  </section>`;
}

/** @param {{state: AccountState | undefined}} properties */
function AllowList({ state }) {
  const now = state?.allowed_events ?? null;
  return html`<${Accepted}
    title=${`Allowed events: ${now === null ? "all" : plural(now.length, "name")}`}
    facts="Other events are dropped. Tokens, keys and all else that the account has stay."
    field="One name per line, or none to allow all"
    now=${(now ?? []).join("\n")}
    bodyOf=${(/** @type {string} */ text) => {
      const names = text
        .split("\n")
        .map((name) => name.trim())
        .filter(Boolean);
      return { allowed_events: names.length ? names : null };
    }}
    label="Allow these"
    done="The allow-list was changed."
  />`;
}

/** @param {{state: AccountState | undefined}} properties */
function TrackingPlan({ state }) {
  const planned = state?.planned_events;
  // Loaded again with each state: a plan may change and name the same events.
  const { value, error } = useLoaded(
    async (signal) => (planned ? JSON.stringify(await get("/debug/tracking-plan", { signal }), null, 2) : ""),
    state,
  );
  // Without the plan, the form would remove it.
  if (planned && !value) return html`<${Problem} error=${error} />`;
  return html`<${Accepted}
    title=${`Tracking plan: ${planned ? plural(planned.length, "event") : "none"}`}
    facts="What differs from the plan gets a hint."
    field="YAML or JSON, or nothing for no plan"
    now=${(planned && value) || ""}
    bodyOf=${(/** @type {string} */ text) => ({ tracking_plan: text.trim() ? text : null })}
    label="Use this plan"
    done="The tracking plan was changed."
  />`;
}

/**
 * A text that says what the account accepts.
 * @param {{title: string, facts: string, field: string, now: string, bodyOf: (text: string) => any, label: string, done: string}} properties
 */
function Accepted({ title, facts, field, now, bodyOf, label, done }) {
  const [text, setText] = useState(/** @type {string | null} */ (null));
  /** @param {Event} event */
  const edit = ({ currentTarget }) => setText(/** @type {HTMLTextAreaElement} */ (currentTarget).value);
  const path = { name: account ?? "" };
  const body = bodyOf(text ?? now);
  return html`<section>
    <h3>${title}</h3>
    <p class="facts">${facts}</p>
    <div class="fields">
      <label class="wide">${field}<textarea rows="4" value=${text ?? now} onInput=${edit} /></label>
    </div>
    <${Command}
      method="PATCH"
      url=${urlOf("/debug/accounts/{name}", path)}
      body=${body}
      label=${label}
      done=${done}
      run=${() => patch("/debug/accounts/{name}", { path, body })}
    />
  </section>`;
}

/** @param {Event} event */
const prevented = (event) => event.preventDefault();

/**
 * The command for a call, and a button that makes it.
 * @param {{method?: string, url: URL, body: object, label: string, done: string, run: () => Promise<unknown>}} properties
 */
function Command({ method = "PUT", url, body, label, done, run }) {
  const token = hasToken() ? `  -H "Authorization: Bearer $OURS_EMULATOR_ADMIN_TOKEN" \\\n` : "";
  const command = `curl -sS -X ${method} ${quoted(String(url))} \\\n${token}  -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(body))}`;
  return html`<pre class="command">${command}</pre>
    <p class="buttons">
      <button type="button" class="primary" onClick=${() => change(run, done)}>${label}</button>
      <${CopyButton} text=${() => command}>Copy<//>
    </p>`;
}

/** @param {() => Promise<unknown>} action @param {string} done */
const change = (action, done) => perform(() => action().then(refreshStatus), done);
