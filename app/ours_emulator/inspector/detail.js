// One arrival: why, who, what changed, the request with its attempts, and what was sent.
/** @import { Row } from "./arrivals.js" */
/** @import { Arrival, EventDetail, RequestDetail, RequestRecord, Rule, VisitorChange } from "types" */
import { ApiError, get } from "./api.js";
import { arrivals } from "./arrivals.js";
import { Attempts } from "./attempts.js";
import { Copies } from "./copybar.js";
import { Identity } from "./identity.js";
import { Link, OutcomeMark, Problem, Table, useLoaded } from "./parts.js";
import { NOWHERE, account } from "./place.js";
import { report } from "./report.js";
import { Sent } from "./sent.js";
import { dotted, fullTime, plural, remarksOf, shown, titleOf } from "./text.js";
import { html, useEffect, useRef } from "./vendor/library.js";

/** @typedef {{request: RequestDetail, attempts: readonly RequestRecord[]}} Call */
/** @typedef {{arrival: EventDetail, call: Call | null, rules: readonly Rule[], original: number | undefined}} Whole */

/** @param {number} id @param {AbortSignal} signal @returns {Promise<Whole>} */
async function loadWhole(id, signal) {
  const event = await get("/debug/events/{event_id}", { path: { event_id: id }, signal });
  const arrival = /** @type {EventDetail} */ (event);
  const [call, rules, original] = await Promise.all([
    loadCall(arrival.request_id, signal).catch(nullIfGone),
    get("/debug/rules", { query: { account: arrival.account }, signal }),
    arrival.outcome === "duplicate" ? loadOriginal(arrival, signal) : undefined,
  ]);
  return { arrival, call, rules: rules.items, original };
}

/** The id of the event that a duplicate repeats, if it is kept. @param {Arrival} arrival @param {AbortSignal} signal */
async function loadOriginal({ account: owner, distinct_id, test }, signal) {
  const query = /** @type {const} */ ({ account: owner, distinct_id, test, outcome: "accepted" });
  const { items } = await get("/debug/events", { query, signal });
  return /** @type {Arrival[]} */ (items).find((one) => one.account === owner && one.test === test)?.id;
}

/** @param {number} id of one of its requests @param {AbortSignal} signal @returns {Promise<Call>} */
async function loadCall(id, signal) {
  const answer = await get("/debug/requests/{request_id}", { path: { request_id: id }, signal });
  const request = /** @type {RequestDetail} */ (answer);
  const { items } = await get("/debug/requests", { query: { call_id: request.call_id, limit: 100 }, signal });
  const attempts = /** @type {RequestRecord[]} */ (items).sort((a, b) => a.id - b.id);
  return { request, attempts };
}

/** @param {unknown} error */
function nullIfGone(error) {
  if (error instanceof ApiError && error.status === 404) return null;
  throw error;
}

/** @param {{id: number}} properties */
export function Detail({ id }) {
  const { value, error } = useLoaded((signal) => loadWhole(id, signal), id);
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  const arrival = value?.arrival ?? arrivals.value.rows.find((one) => one.id === id);
  useEffect(() => {
    // On a narrow screen the row that had the focus is hidden now.
    if (!document.querySelector(".list")?.checkVisibility()) heading.current?.focus();
  }, [id]);
  return html`<section class="detail scroll" aria-label="Event" ref=${heading} tabindex="-1">
    <p class="back"><${Link} to=${{ event: undefined }} class="button">Close<//></p>
    <${Problem}
      error=${/^there is no event/.test(error) ? `${error}: a reset removed it, or it was removed to make room` : error}
    />
    ${arrival && html`<${Heading} arrival=${arrival} />`} ${value && html`<${Panels} ...${value} />`}
  </section>`;
}

/** @param {{arrival: Row}} properties */
function Heading({ arrival }) {
  const { outcome, id, received_at, endpoint, test, repeats } = arrival;
  return html`<div class="heading">
    <h2>${titleOf(arrival)} <${OutcomeMark} outcome=${outcome} /></h2>
    <p class="facts">
      #${id} · ${endpoint}${account === null ? ` · account ${arrival.account}` : ""} · received${" "}
      <time datetime=${received_at}>${fullTime(received_at)}</time
      >${test ? " · Test Mode" : ""}${repeats ? ` · ${plural(repeats, "duplicate")} came later` : ""}
    </p>
  </div>`;
}

/** @param {Whole} whole */
function Panels({ arrival, call, rules, original }) {
  return html`<${Copies} arrival=${arrival} request=${call?.request ?? null} rules=${rules} />
    <${Remarks} arrival=${arrival} rules=${rules} />
    <${Identity} arrival=${arrival} original=${original} />
    <${Changes} ...${arrival} />
    ${
      call
        ? html`<${Attempts} ...${call} /><${Sent} arrival=${arrival} request=${call.request} />`
        : html`<section>
            <h3>Request and answer</h3>
            <p>${report ? "The request is not in the report." : "The request is no longer kept."}</p>
          </section>`
    }`;
}

/** @param {{arrival: Arrival, rules: readonly Rule[]}} properties */
function Remarks({ arrival: { reason, hints, outcome }, rules }) {
  if (!reason && !hints.length) return null;
  const unrefused = outcome === "accepted" ? "Accepted, but probably not intended" : "Probably not intended";
  const title = reason ? "Why it was refused" : outcome === "dropped" ? "Dropped" : unrefused;
  return html`<section>
    <h3>${title}</h3>
    <ul class="remarks">
      ${remarksOf({ reason, hints }).map((remark, index) => html`<${Remark} key=${index} remark=${remark} rules=${rules} />`)}
    </ul>
  </section>`;
}

/** @param {{remark: {rule: string, path: string, message: string, kind: string}, rules: readonly Rule[]}} properties */
function Remark({ remark: { rule: id, path, message, kind }, rules }) {
  const rule = rules.find((one) => one.id === id);
  return html`<li class=${kind}>
    ${path && html`<code>${dotted(path)}</code> `}${message}
    ${
      kind === "hint"
        ? html`<${Link} to=${{ ...NOWHERE, hint: id }} class="others">all with this hint<//>`
        : html`<${Link} to=${{ ...NOWHERE, reason: id }} class="others">all that this rule refused<//>`
    }
    <details>
      <summary>rule ${id}</summary>
      <p>
        ${rule ? html`${rule.text} <small>${rule.basis}: ${rule.source}</small>` : "This rule is not in the list of rules."}
      </p>
    </details>
  </li>`;
}

/** @param {EventDetail} arrival */
function Changes({ changes, unknown_changes }) {
  if (!changes.length && !unknown_changes.length) return null;
  return html`<section>
    <h3>Changes to the visitor</h3>
    ${
      changes.length > 0 &&
      html`<${Table} class="changes" heads=${["value", "before", "after"]}>
        ${changes.map((change) => html`<${Change} key=${change.path + change.action} change=${change} />`)}
      <//>`
    }
    ${unknown_changes.length > 0 && html`<p>An older version did not record what became of ${unknown_changes.join(", ")}.</p>`}
  </section>`;
}

/** @param {{change: VisitorChange}} properties */
const Change = ({ change: { path, action, before, after, why } }) =>
  html`<tr class=${action}>
    <th scope="row"><code>${path}</code></th>
    <td><${Value} value=${before} isThere=${action !== "added" && !(action === "ignored" && before === null)} /></td>
    <td>
      <${Value}
        value=${after}
        isThere=${action !== "removed" && !(action === "ignored" && after === null)}
      />${(why || action === "unchanged") && html`<small>${action}${why && `: ${why}`}</small>`}
    </td>
  </tr>`;

/** @param {{value: unknown, isThere: boolean}} properties */
const Value = ({ value, isThere }) => (isThere ? html`<code>${shown(value)}</code>` : html`<i>none</i>`);
