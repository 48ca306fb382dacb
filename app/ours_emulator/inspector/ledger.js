// The rules of the contract, with what each is based on, and how many events met it.
/** @import { Rule, RuleCount } from "types" */
import { get } from "./api.js";
import { Link, Problem, SearchField, Table, useLoaded } from "./parts.js";
import { NOWHERE, place } from "./place.js";
import { loadRules } from "./rules.js";
import { status } from "./status.js";
import { useStore } from "./store.js";
import { plural } from "./text.js";
import { html } from "./vendor/library.js";

export function Rules() {
  const { q = "" } = useStore(place);
  const { value, error } = useLoaded(loadRules, "rules");
  const counts = useCounts();
  const sought = q.toLowerCase();
  const rules = (value ?? []).filter(({ id, text, source }) =>
    `${id}\n${text}\n${source}`.toLowerCase().includes(sought),
  );
  return html`<main class="view scroll" tabindex="-1">
    <h2>Rules</h2>
    <p class="facts">
      What the emulator answers, and why: documented by the vendor, observed in what else the vendor publishes, or
      assumed.
    </p>
    <${SearchField} />
    <${Problem} error=${error || counts.error} />
    <section>
      <${Table} heads=${["rule", "text and basis"]}>
        ${rules.map(
          (rule) =>
            html`<${Row} key=${rule.id} rule=${rule} count=${counts.value?.find((one) => one.rule === rule.id)} />`,
        )}
      <//>
    </section>
  </main>`;
}

/** How many events each rule applied to, counted again with each that arrives. */
function useCounts() {
  const newest = useStore(status).summary?.newest_event ?? 0;
  return useLoaded(async (signal) => {
    const { items } = await get("/debug/rules/counts", { signal });
    return /** @type {RuleCount[]} */ (items);
  }, newest);
}

/** @param {{rule: Rule, count: RuleCount | undefined}} properties */
const Row = ({ rule: { id, text, basis, source }, count }) =>
  html`<tr>
    <th scope="row" class="counts">
      <code>${id}</code>
      ${Boolean(count?.hinted) && html`<${Link} to=${{ ...NOWHERE, hint: id }}>${plural(count?.hinted ?? 0, "event")} with a hint<//>`}
      ${Boolean(count?.refused) && html`<${Link} to=${{ ...NOWHERE, reason: id }}>${plural(count?.refused ?? 0, "event")} refused<//>`}
    </th>
    <td>${text} <small>${basis}: ${source}</small></td>
  </tr>`;
