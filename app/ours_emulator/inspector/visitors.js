// The visitors, and of one of them all that is known, what set it, and what happened.
/** @import { Arrival, EventDetail, Visitor } from "types" */
import { get } from "./api.js";
import { EventLink, Link, Named, Problem, SearchField, Table, VisitorLink, useLoaded } from "./parts.js";
import { account, place } from "./place.js";
import { useNewest } from "./status.js";
import { useStore } from "./store.js";
import { clockTime, fullTime, plural, shown } from "./text.js";
import { html } from "./vendor/library.js";

const TOGETHER = 10;
const MOST_EVENTS = 100;
/** What sets a value. @type {readonly string[]} */
const SETTING = ["added", "changed"];

export function Visitors() {
  const { visitor, q } = useStore(place);
  const newest = useNewest();
  const { value, error } = useLoaded(
    (signal) => get("/debug/visitors", { query: { q: q ?? null }, signal }),
    `${newest} ${q ?? ""}`,
  );
  const visitors = /** @type {Visitor[]} */ (value?.items ?? []);
  return html`<main class=${visitor ? "panes open" : "panes"}>
    <section class="list" aria-label="Visitors">
      <div class="filters"><${SearchField} /></div>
      <${Problem} error=${error} />
      <div class="scroll">
        ${
          visitors.length > 0 &&
          html`<ol class="rows">
            ${visitors.map((one) => html`<${Row} key=${`${one.account} ${one.visitor_id}`} visitor=${one} chosen=${one.visitor_id === visitor} />`)}
          </ol>`
        }
        ${value && !visitors.length && html`<p class="none">${q ? "There is no such visitor." : "No visitors yet. One appears with the first accepted event."}</p>`}
        ${value && value.total > visitors.length && html`<p class="none">The newest ${visitors.length} of ${plural(value.total, "visitor")}.</p>`}
      </div>
    </section>
    ${visitor && html`<${Whole} key=${visitor} id=${visitor} />`}
  </main>`;
}

/** @param {{visitor: Visitor, chosen: boolean}} properties */
function Row({ visitor, chosen }) {
  const { identifiers, visitor_id, event_count, last_seen } = visitor;
  const others = Object.values(identifiers).filter((value) => value && value !== visitor_id);
  return html`<li>
    <${VisitorLink} account=${visitor.account} id=${visitor_id} class="row visitor" current=${chosen}>
      <span class="title">${visitor_id}</span>
      <span class="who">${others.join(", ")}</span>
      <span class="where">${account === null ? `${visitor.account} · ` : ""}${plural(event_count, "event")}</span>
      <time datetime=${last_seen} title=${`last seen ${fullTime(last_seen)}`}>${clockTime(last_seen)}</time>
    <//>
  </li>`;
}

/** @param {{id: string}} properties */
function Whole({ id }) {
  const { order } = useStore(place);
  const newest = useNewest();
  const { value, error } = useLoaded((signal) => loadWhole(id, signal), newest);
  return html`<section class="detail scroll" aria-label="Visitor" tabindex="-1">
    <p class="back"><${Link} to=${{ visitor: undefined }} class="button">Close<//></p>
    <div class="heading">
      <h2>${id}</h2>
      ${value && html`<${Facts} visitor=${value.visitor} />`}
    </div>
    <${Problem} error=${error} />
    ${value && html`<${Known} ...${value} /><${Timeline} key=${order} id=${id} newest=${newest} byTime=${order === "time"} />`}
  </section>`;
}

/** @param {{visitor: Visitor}} properties */
const Facts = ({ visitor: { event_count, first_seen, last_seen } }) =>
  html`<p class="facts">
    ${plural(event_count, "event")} · first seen ${fullTime(first_seen)} · last seen ${fullTime(last_seen)}
  </p>`;

/** @param {string} id @param {AbortSignal} signal */
async function loadWhole(id, signal) {
  const visitor = /** @type {Visitor} */ (
    await get("/debug/visitors/{visitor_id}", { path: { visitor_id: id }, signal })
  );
  const values = valuesOf(visitor);
  return { visitor, values, setters: await settersOf(id, values, signal) };
}

/**
 * All that is known of a visitor, by the paths that changes have.
 * @param {Visitor} visitor
 */
function valuesOf({ identifiers, properties, custom_properties, consent, data }) {
  /** @type {Map<string, unknown>} */
  const values = new Map();
  for (const [name, value] of Object.entries(identifiers)) if (value !== null) values.set(`identifiers.${name}`, value);
  for (const [name, value] of Object.entries(properties))
    if (!(name in identifiers)) values.set(`properties.${name}`, value);
  for (const [name, value] of Object.entries(custom_properties)) values.set(`custom_properties.${name}`, value);
  if (consent !== null) values.set("consent", consent);
  for (const [name, value] of Object.entries(data)) values.set(`data.${name}`, value);
  return values;
}

/**
 * Which event set each value. The server says what each event changed; the latest one that did decides.
 * @param {string} id
 * @param {ReadonlyMap<string, unknown>} values
 * @param {AbortSignal} signal
 */
async function settersOf(id, values, signal) {
  /** @type {Map<string, number>} */
  const setters = new Map();
  const query = /** @type {const} */ ({ order: "arrival", limit: MOST_EVENTS });
  const { items } = await get("/debug/visitors/{visitor_id}/events", { path: { visitor_id: id }, query, signal });
  for (let first = 0; first < items.length && setters.size < values.size; first += TOGETHER) {
    const part = items.slice(first, first + TOGETHER);
    const details = await Promise.all(
      part.map((one) => get("/debug/events/{event_id}", { path: { event_id: one.id }, signal })),
    );
    for (const { id: event, changes } of /** @type {EventDetail[]} */ (details)) {
      const set = changes.filter(
        ({ action, path }) => SETTING.includes(action) && values.has(path) && !setters.has(path),
      );
      for (const { path } of set) setters.set(path, event);
    }
  }
  return setters;
}

/** @param {{visitor: Visitor, values: ReadonlyMap<string, unknown>, setters: ReadonlyMap<string, number>}} properties */
function Known({ visitor: { devices }, values, setters }) {
  return html`<section>
    <h3>What is known</h3>
    <${Table} heads=${["value", "is", "set by"]}>
      ${[...values].map(
        ([path, value]) =>
          html`<tr key=${path}>
            <th scope="row"><code>${path}</code></th>
            <td><code>${shown(value)}</code></td>
            <td><${Setter} id=${setters.get(path)} /></td>
          </tr>`,
      )}
    <//>
    ${
      devices.length > 0 &&
      html`<h3 class="next">${plural(devices.length, "device")}</h3>
        ${devices.map((device, index) => html`<pre key=${index}>${JSON.stringify(device, null, 2)}</pre>`)}`
    }
  </section>`;
}

/** @param {{id: number | undefined}} properties */
const Setter = ({ id }) => (id === undefined ? html`<i>an earlier event</i>` : html`<${EventLink} id=${id} />`);

/** @param {{id: string, newest: number, byTime: boolean}} properties */
function Timeline({ id, newest, byTime }) {
  const query = { order: byTime ? /** @type {const} */ ("time") : /** @type {const} */ ("arrival") };
  const { value, error } = useLoaded(
    (signal) => get("/debug/visitors/{visitor_id}/events", { path: { visitor_id: id }, query, signal }),
    newest,
  );
  const events = /** @type {Arrival[]} */ (value?.items ?? []);
  return html`<section>
    <h3>What happened</h3>
    <p class="buttons" role="group" aria-label="Order">
      ${ORDERS.map(([order, label]) => html`<${Link} key=${label} to=${{ order }} class="button" current=${(order === "time") === byTime}>${label}<//>`)}
    </p>
    <${Problem} error=${error} />
    <ol class="timeline">
      ${events.map((one) => html`<${Happened} key=${one.id} arrival=${one} byTime=${byTime} />`)}
    </ol>
    ${value && value.total > events.length && html`<p class="facts">The latest ${events.length} of ${plural(value.total, "event")}.</p>`}
  </section>`;
}

/** @type {readonly (readonly [string | undefined, string])[]} */
const ORDERS = [
  [undefined, "by arrival"],
  ["time", "by event time"],
];

/** @param {{arrival: Arrival, byTime: boolean}} properties */
const Happened = ({ arrival, byTime }) =>
  html`<li>
    <time>${fullTime(byTime ? arrival.time : arrival.received_at)}</time>
    <${Named} event=${arrival} />
  </li>`;
