// How the visitor was found, drawn: each identifier that was given, the strongest first, and where that led.
/** @import { Arrival } from "types" */
import { EventLink, VisitorLink } from "./parts.js";
import { html } from "./vendor/library.js";

/** @type {Record<string, string>} */
const RESULTS = { matched: "matched", not_found: "not found", skipped: "skipped" };

/** @param {{arrival: Arrival, original: number | undefined}} properties *original*: the event that a duplicate repeats */
export function Identity({ arrival, original }) {
  const { resolution, visitor_id, outcome } = arrival;
  if (!resolution)
    return html`<section>
      <h3>Who</h3>
      <p>${whyNobody(arrival, original)}</p>
    </section>`;
  return html`<section>
    <h3>Who</h3>
    <div class="identity">
      <ol aria-label="Identifiers, the strongest first">
        ${resolution.steps.map(
          ({ identifier, value, result }) =>
            html`<li key=${identifier} class=${`${result}${identifier === resolution.decided_by ? " decided" : ""}`}>
              <span class="result">${RESULTS[result] ?? result}</span>
              <span class="name">${identifier}</span> <code>${value}</code>
            </li>`,
        )}
      </ol>
      <p class="visitor">
        <span>${resolution.created ? "new visitor" : "known visitor"}</span>
        <${VisitorLink} account=${arrival.account} id=${visitor_id}><code>${visitor_id}</code><//>
        <small
          >${resolution.decided_by === null ? "No identifier decided." : `${resolution.decided_by} decided.`}${outcome === "dropped" ? " The event was dropped." : ""}</small
        >
      </p>
    </div>
  </section>`;
}

/** @param {Arrival} arrival @param {number | undefined} original */
function whyNobody({ outcome, distinct_id }, original) {
  if (outcome === "duplicate")
    return html`distinctId <code>${distinct_id}</code> was used
      before${original && html` by <${EventLink} id=${original} />`}, so nothing was stored.`;
  return outcome === "rejected" ? "Nobody: a refused event belongs to no visitor." : "No visitor was looked for.";
}
