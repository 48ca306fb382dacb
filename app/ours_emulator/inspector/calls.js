// Calls: what a client tried, with every attempt.
/** @import { RequestRecord } from "types" */
import { get } from "./api.js";
import { Line } from "./attempts.js";
import { Link, Problem, useLoaded } from "./parts.js";
import { NOWHERE } from "./place.js";
import { status } from "./status.js";
import { useStore } from "./store.js";
import { fullTime, plural } from "./text.js";
import { html } from "./vendor/library.js";

export function Calls() {
  const { summary } = useStore(status);
  const { value, error } = useLoaded((signal) => get("/debug/calls", { signal }), summary?.newest_request ?? 0);
  return html`<main class="view scroll" tabindex="-1">
    <h2>Calls</h2>
    <p class="facts">A request and its retries are one call. The latest first.</p>
    <${Problem} error=${error} />
    ${value?.items.map((call) => html`<${Call} key=${call.call_id} ...${call} />`)}
    ${value && !value.items.length && html`<p>Nothing was sent yet.</p>`}
    ${value && value.total > value.items.length && html`<p class="facts">The latest ${value.items.length} of ${plural(value.total, "call")}.</p>`}
  </main>`;
}

/** @param {{path: string, account: string, accepted: number, attempts: RequestRecord[]}} call */
function Call({ path, accepted, attempts }) {
  const last = attempts.at(-1);
  return html`<section>
    <h3><code>${path}</code></h3>
    <p class="facts">
      ${last && fullTime(last.received_at)} · ${plural(accepted, "event")} accepted ·
      <${Link} to=${{ ...NOWHERE, request: String(last?.id ?? 0) }}>what arrived<//>
    </p>
    <${Line} attempts=${attempts} />
  </section>`;
}
