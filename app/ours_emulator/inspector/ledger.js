// The rules of the contract, with what each is based on.
import { Link, Problem, SearchField, useLoaded } from "./parts.js";
import { NOWHERE, place } from "./place.js";
import { loadRules } from "./rules.js";
import { useStore } from "./store.js";
import { html } from "./vendor/library.js";

export function Rules() {
  const { q = "" } = useStore(place);
  const { value, error } = useLoaded(loadRules, "rules");
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
    <${Problem} error=${error} />
    <section>
      <table>
        <thead>
          <tr>
            <th scope="col">rule</th>
            <th scope="col">text</th>
            <th scope="col">basis</th>
          </tr>
        </thead>
        <tbody>
          ${rules.map(
            ({ id, text, basis, source }) =>
              html`<tr key=${id}>
                <th scope="row">
                  <code>${id}</code> <small><${Link} to=${{ ...NOWHERE, hint: id }}>hints<//></small>
                </th>
                <td>${text}</td>
                <td>${basis} <small>${source}</small></td>
              </tr>`,
          )}
        </tbody>
      </table>
    </section>
  </main>`;
}
