// The rules of the contract, with what each is based on, and how many events each applied to.
/** @import { Rule, RuleCount } from "types" */
import { get } from "./api.js";
import { Link, Problem, SearchField, Table, useLoaded } from "./parts.js";
import { NOWHERE, account, place } from "./place.js";
import { status, useNewest } from "./status.js";
import { useStore } from "./store.js";
import { plural } from "./text.js";
import { html } from "./vendor/library.js";

export function Rules() {
  const { q = "" } = useStore(place);
  const revision = useStore(status).accounts.find((one) => one.account === account)?.revision ?? "";
  const { value, error } = useLoaded((signal) => get("/debug/rules", { signal }), revision);
  const counts = useCounts();
  const sought = q.toLowerCase();
  const rules = (value?.items ?? []).filter(({ id, text, source }) =>
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
        ${[...new Set(rules.map(({ id }) => id))].map(
          (id) =>
            html`<${Row}
              key=${id}
              id=${id}
              rules=${rules.filter((one) => one.id === id)}
              count=${counts.value?.find(({ rule }) => rule === id)}
            />`,
        )}
      <//>
    </section>
  </main>`;
}

/** How many events each rule applied to, counted again with each that arrives. */
function useCounts() {
  return useLoaded(async (signal) => {
    const { items } = await get("/debug/rules/counts", { signal });
    return /** @type {RuleCount[]} */ (items);
  }, useNewest());
}

/**
 * What a rule says; with all accounts, once for each revision in which it says something else.
 * @param {{id: string, rules: readonly Rule[], count: RuleCount | undefined}} properties
 */
const Row = ({ id, rules, count }) =>
  html`<tr>
    <th scope="row" class="counts">
      <code>${id}</code>
      ${Boolean(count?.hinted) && html`<${Link} to=${{ ...NOWHERE, hint: id }}>${plural(count?.hinted ?? 0, "event")} with a hint<//>`}
      ${Boolean(count?.refused) && html`<${Link} to=${{ ...NOWHERE, reason: id }}>${plural(count?.refused ?? 0, "event")} refused<//>`}
    </th>
    <td>
      ${rules.map(
        ({ text, basis, source, revisions }) =>
          html`<p key=${revisions}>${text} <small>${basis}: ${source}; revision ${revisions.join(" and ")}</small></p>`,
      )}
    </td>
  </tr>`;
