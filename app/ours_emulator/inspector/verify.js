// Why an event is missing: what was expected, and what the emulator says about it.
/** @import { Answer, Arrival, Asked, NearMiss, Unmet } from "types" */
import { ApiError, post } from "./api.js";
import { python } from "./copies.js";
import { Choice, CopyButton, Link, Named, Problem, Table, notice, useForm, useLoaded } from "./parts.js";
import { NOWHERE, choose, place } from "./place.js";
import { useNewest } from "./status.js";
import { useStore } from "./store.js";
import { isObject, plural, shown } from "./text.js";
import { html } from "./vendor/library.js";

/** @typedef {NonNullable<Asked<"post", "/debug/verify">["body"]>} Expectation */

const IDENTIFIERS = ["user_id", "email", "external_id", "anonymous_id", "visitor_id", "distinct_id"];
const MODES = { at_least: "at least", exactly: "exactly", none: "none" };
const OTHERS = '{"endpoint": "batch"}';
const EXAMPLE = '{"plan": "pro", "amount": {"$gt": 50}}';

export function Verify() {
  const { match } = useStore(place);
  const asked = expectationOf(match);
  return html`<main class="view scroll" tabindex="-1">
    <h2>Why is my event missing?</h2>
    <p class="facts">
      Describe the event that should have arrived. Below, you see the closest matches and how they differ.
    </p>
    <${Form} key=${match} asked=${asked} />
    ${asked && html`<${Result} key=${match} asked=${asked} />`}
  </main>`;
}

/** @param {string | undefined} text @returns {Expectation | null} */
function expectationOf(text) {
  try {
    const read = JSON.parse(text ?? "null");
    return isObject(read) && isObject(read["match"]) ? /** @type {any} */ (read) : null;
  } catch {
    return null;
  }
}

/** @param {{asked: Expectation | null}} properties */
function Form({ asked }) {
  const { event = "", event_properties: properties, ...rest } = /** @type {Record<string, any>} */ (asked?.match ?? {});
  const kind = IDENTIFIERS.find((name) => typeof rest[name] === "string") ?? "user_id";
  const { [kind]: identifier = "", ...others } = rest;
  const { mode = "at_least", count = 1 } = asked ?? {};
  // Each event that arrives draws the page again, which would empty fields that are not controlled.
  const { form, edit } = useForm({
    event,
    kind,
    identifier,
    mode,
    count: String(count),
    properties: json(properties),
    others: json(others),
  });
  return html`<form class="fields" onInput=${edit} onSubmit=${submit}>
    <label>Event <input name="event" value=${form.event} placeholder="any" /></label>
    <${Choice} label="Identifier" name="kind" value=${form.kind} choices=${IDENTIFIERS} />
    <label>Value <input name="identifier" value=${form.identifier} placeholder="any" /></label>
    <${Choice} label="How many" name="mode" value=${form.mode} choices=${MODES} />
    <label>Count <input name="count" type="number" min="1" value=${form.count} /></label>
    <label class="wide"
      >Event properties, as JSON
      <textarea name="properties" rows="2" placeholder=${EXAMPLE} value=${form.properties} />
    </label>
    <label class="wide"
      >Other fields, as JSON <textarea name="others" rows="2" placeholder=${OTHERS} value=${form.others} />
    </label>
    <p class="wide"><button class="primary">Check</button></p>
  </form>`;
}

/**
 * An object as text; none for one that is empty.
 * @param {object | undefined} value
 */
const json = (value) => (Object.keys(value ?? {}).length ? JSON.stringify(value) : "");

/** @param {SubmitEvent} submitted */
function submit(submitted) {
  submitted.preventDefault();
  const form = new FormData(/** @type {HTMLFormElement} */ (submitted.currentTarget));
  /** @param {string} name */
  const text = (name) => String(form.get(name) ?? "").trim();
  try {
    const match = {
      ...object(text("others")),
      ...named("event", text("event")),
      ...named(text("kind"), text("identifier")),
    };
    const properties = object(text("properties"));
    if (Object.keys(properties).length) Object.assign(match, { event_properties: properties });
    const mode = text("mode");
    choose({ match: JSON.stringify({ match, mode, ...(mode === "none" ? {} : { count: Number(text("count")) }) }) });
  } catch (error) {
    notice.set(error instanceof SyntaxError ? `Not valid JSON: ${error.message}` : String(error));
  }
}

/** @param {string} name @param {string} value */
const named = (name, value) => (value ? { [name]: value } : {});
/** @param {string} text @returns {object} */
const object = (text) => (text ? JSON.parse(text) : {});

/** @param {Expectation} asked @param {AbortSignal} signal */
async function verified(asked, signal) {
  try {
    return { met: await post("/debug/verify", { body: asked, signal }), unmet: null };
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 406) throw error;
    return { met: null, unmet: /** @type {Unmet} */ (JSON.parse(error.text)) };
  }
}

/** @param {{asked: Expectation}} properties */
function Result({ asked }) {
  const { value, error } = useLoaded((signal) => verified(asked, signal), useNewest());
  const assertion = assertionOf(asked);
  return html`<${Problem} error=${error} />
    ${value?.met && html`<${Met} met=${value.met} />`} ${value?.unmet && html`<${Missing} unmet=${value.unmet} />`}
    <section>
      <h3>As a test assertion</h3>
      <pre>${assertion}</pre>
      <p class="buttons"><${CopyButton} text=${() => assertion}>Copy<//></p>
    </section>`;
}

/** @param {{met: Answer<"post", "/debug/verify">}} properties */
const Met = ({ met: { count, items } }) =>
  html`<section role="status">
    <h3>Expectation met: ${plural(count ?? 0, "event")}</h3>
    <ul class="entries">
      ${/** @type {Arrival[]} */ (items ?? []).slice(-20).map((event) => html`<li key=${event.id}><${Named} event=${event} /></li>`)}
    </ul>
  </section>`;

/** @param {{unmet: Unmet}} properties */
function Missing({ unmet: { error, candidates, near_misses, unread, last_unread } }) {
  /** @param {NearMiss} candidate */
  const isKnown = ({ misses }) => misses?.every(({ path }) => path === "outcome");
  return html`<section role="status">
      <h3>Expectation not met</h3>
      <p>${error}</p>
    </section>
    <${Misses} title="Matches that were not accepted" misses=${candidates.filter(isKnown)} />
    <${Misses} title="Closest matches" misses=${near_misses} />
    <${Misses} title="Possible matches that were not accepted" misses=${candidates.filter((one) => !isKnown(one))} />
    ${
      last_unread &&
      html`<section>
        <h3>Requests that could not be read</h3>
        <p>
          <${Link} to=${{ ...NOWHERE, outcome: "rejected" }}>${plural(unread, "refused request")}<//> may have contained
          it; the last one is <${Named} event=${last_unread} />
        </p>
      </section>`
    }`;
}

/** @param {{title: string, misses: readonly NearMiss[]}} properties */
const Misses = ({ title, misses }) =>
  misses.length > 0 &&
  html`<section>
    <h3>${title}</h3>
    <ul class="entries">
      ${misses.map(
        ({ event, misses: differences }) =>
          html`<li key=${event.id}>
            <${Named} event=${event} /> ${
              differences &&
              differences.length > 0 &&
              html`<${Table} heads=${["field", "expected", "actual"]}>
                ${differences.map(
                  ({ path, expected, actual, why }) =>
                    html`<tr key=${path}>
                      <th scope="row"><code>${path}</code></th>
                      <td><code>${shown(expected)}</code></td>
                      <td><code>${shown(actual)}</code> <small>${why}</small></td>
                    </tr>`,
                )}
              <//>`
            }
          </li>`,
      )}
    </ul>
  </section>`;

/** @param {Expectation} asked */
function assertionOf({ match, mode, count }) {
  const { event, ...others } = /** @type {Record<string, unknown>} */ (match);
  const given = event === undefined ? [] : [typeof event === "string" ? python(event) : `match=${python({ event })}`];
  if (Object.keys(others).length) given.push(`match=${python(others)}`);
  if (mode === "exactly" || (mode === "at_least" && (count ?? 1) > 1)) given.push(`count=${count ?? 1}`);
  const method = { exactly: "assert_tracked", none: "assert_none" }[/** @type {string} */ (mode)] ?? "wait_for";
  return `ours_emulator.${method}(${given.join(", ")})`;
}
