// What arrived, the latest first, with filters and bars over time.
/** @import { Row as Listed } from "./arrivals.js" */
/** @import { Name } from "./place.js" */
import { arrivals, loadOlder, setHolding, showHeld } from "./arrivals.js";
import { buckets } from "./buckets.js";
import { Empty } from "./empty.js";
import { Link, OUTCOMES, OutcomeMark, Problem, SearchField } from "./parts.js";
import { FILTERS, account, choose, place } from "./place.js";
import { status } from "./status.js";
import { useStore } from "./store.js";
import { clockTime, dotted, fullTime, plural, titleOf } from "./text.js";
import { html, useEffect, useMemo, useRef } from "./vendor/library.js";

export function List() {
  const { rows, held, cursor, loading, error, evicted } = useStore(arrivals);
  const { event, ...filters } = useStore(place);
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const isFiltered = FILTERS.some((name) => filters[name]);
  useChosenInView(list, event);
  const toTop = () => {
    list.current?.scrollTo({ top: 0 });
    showHeld();
  };
  if (!rows.length && !held.length && !loading && !error && !isFiltered) return html`<${Empty} />`;
  return html`<section class="list" aria-label="Arrivals">
    <${Filters} />
    <${Bars} rows=${rows} />
    <${Problem} error=${error} />
    ${held.length > 0 && html`<div class="heldbox"><button type="button" class="held" onClick=${toTop}>${held.length} new</button></div>`}
    <div class="scroll" ref=${list} onScroll=${() => setHolding((list.current?.scrollTop ?? 0) > 4)}>
      ${
        rows.length > 0 &&
        html`<ol class="rows">
          ${rows.map((arrival) => html`<${Row} key=${arrival.id} arrival=${arrival} chosen=${String(arrival.id) === event} />`)}
        </ol>`
      }
      ${!rows.length && !loading && html`<p class="none">Nothing that arrived matches.</p>`}
      ${cursor && html`<p class="more"><button type="button" onClick=${loadOlder}>Load older ones</button></p>`}
      ${evicted > 0 && html`<p class="none">${plural(evicted, "older event")} removed to make room.</p>`}
    </div>
  </section>`;
}

/**
 * Keep the chosen row in view.
 * @param {{current: HTMLElement | null}} list
 * @param {string | undefined} event
 */
function useChosenInView(list, event) {
  const left = useRef(event);
  useEffect(() => {
    const rows = list.current;
    rows?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
    // Where the list was hidden behind the event, the focus goes back to the row that it came from.
    if (!event && document.activeElement === document.body)
      /** @type {HTMLElement | null | undefined} */ (rows?.querySelector(`[href$="event=${left.current}"]`))?.focus();
    left.current = event;
  }, [event]);
}

/** @param {{arrival: Listed, chosen: boolean}} properties */
function Row({ arrival, chosen }) {
  // The same tree is not compared again: a thousand rows are drawn while a batch arrives.
  return useMemo(
    () =>
      html`<li>
        <${Link} to=${{ event: String(arrival.id) }} class="row" current=${chosen}>
          <${OutcomeMark} outcome=${arrival.outcome} />
          <span class="title">${titleOf(arrival)}${arrival.test && html` <small>test</small>`}</span>
          <span class="about">
            <span class="who">${identifierOf(arrival)}</span>
            <span class="remark">${remarkOf(arrival)}</span>
          </span>
          <span class="where">${account === null ? `${arrival.account} · ` : ""}${arrival.endpoint}</span>
          <time datetime=${arrival.received_at} title=${fullTime(arrival.received_at)}
            >${clockTime(arrival.received_at)}</time
          >
          <span class="id">#${arrival.id}</span>
        <//>
      </li>`,
    [arrival, chosen],
  );
}

/** The first identifier that was given, else the visitor's. @param {Listed} arrival */
const identifierOf = ({ identity, visitor_id }) => Object.values(identity)[0] ?? visitor_id ?? "";

/** Why it was refused, else its first hint, else how many duplicates came. @param {Listed} arrival */
function remarkOf({ reason, hints, repeats }) {
  const [first] = reason ? [reason] : hints;
  if (!first) return repeats ? plural(repeats, "duplicate") : "";
  const more = hints.length - (reason ? 0 : 1);
  return `${first.path ? `${dotted(first.path)}: ` : ""}${first.message}${more > 0 ? ` (+${plural(more, "hint")})` : ""}`;
}

function Filters() {
  const asked = useStore(place);
  const { summary } = useStore(status);
  /** @param {string} outcome */
  const toggle = (outcome) => choose({ outcome: asked.outcome === outcome ? undefined : outcome });
  return html`<div class="filters" role="group" aria-label="Filters">
    ${OUTCOMES.map(
      (outcome) =>
        html`<button
          type="button"
          key=${outcome}
          class=${`count ${outcome}`}
          aria-pressed=${String(asked.outcome === outcome)}
          onClick=${() => toggle(outcome)}
        >
          <span class=${`outcome ${outcome}`}>${outcome}</span>
          <b>${(summary?.outcomes[outcome] ?? 0).toLocaleString("en")}</b>
        </button>`,
    )}
    ${!asked.hint && html`<button type="button" class="chip" onClick=${() => choose({ hint: "any" })}>with hints</button>`}
    <${SearchField} />
    ${CHIPS.filter(([name]) => asked[name]).map(
      ([name, label]) =>
        html`<button type="button" key=${name} class="chip" onClick=${() => choose({ [name]: undefined })}>
          ${label} ${name === "since" ? clockTime(Number(asked[name])) : asked[name]} <span aria-hidden="true">×</span
          ><span class="sr">, remove this filter</span>
        </button>`,
    )}
  </div>`;
}

/** @type {readonly (readonly [Name, string])[]} */
const CHIPS = [
  ["name", "name"],
  ["visitor", "visitor"],
  ["request", "request"],
  ["hint", "hint"],
  ["reason", "refused by"],
  ["since", "since"],
];

/** @param {{rows: readonly Listed[]}} properties */
function Bars({ rows }) {
  const bars = useMemo(() => buckets(rows), [rows]);
  const highest = Math.max(1, ...bars.map(({ total }) => total));
  /** @param {KeyboardEvent} event */
  const move = ({ key, currentTarget }) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (!step) return;
    const buttons = [.../** @type {HTMLElement} */ (currentTarget).querySelectorAll("button")];
    buttons[buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement)) + step]?.focus();
  };
  const last = bars.findLastIndex(({ total }) => total > 0);
  return html`<div class="bars" role="toolbar" aria-label="Arrivals over time" onKeyDown=${move}>
    ${bars.map(({ from, counts, total, label }, index) =>
      total === 0
        ? html`<span key=${from}></span>`
        : html`<button
            type="button"
            key=${from}
            aria-label=${label}
            title=${label}
            tabindex=${index === last ? 0 : -1}
            onClick=${() => choose({ since: String(from) })}
          >
            ${OUTCOMES.map((outcome) => counts[outcome] > 0 && html`<i key=${outcome} class=${outcome} style=${{ height: `${(100 * counts[outcome]) / highest}%` }}></i>`)}
          </button>`,
    )}
  </div>`;
}
