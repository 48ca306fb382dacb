// The page put together.
import { arrivals, follow, followPlace } from "./arrivals.js";
import { Banner } from "./banner.js";
import { Calls } from "./calls.js";
import { Control } from "./control.js";
import { Detail } from "./detail.js";
import { Header, Notice, TokenForm, opened, restoreTheme, useLocked } from "./header.js";
import { List } from "./list.js";
import { Problem } from "./parts.js";
import { account, choose, place, retype } from "./place.js";
import { report } from "./report.js";
import { Rules } from "./rules.js";
import { keepStatusFresh, status } from "./status.js";
import { useStore } from "./store.js";
import { html, options, render } from "./vendor/library.js";
import { Verify } from "./verify.js";
import { Visitors } from "./visitors.js";

function App() {
  const { view } = useStore(place);
  const { error } = useStore(status);
  if (useLocked()) return html`<${TokenForm} />`;
  return html`<${Header} />
    <${Banner} />
    <${Problem} error=${error} />
    <${VIEWS.get(view ?? "") ?? Arrivals} />
    <${Notice} />`;
}

function Arrivals() {
  const { event } = useStore(place);
  return html`<main class=${event ? "panes open" : "panes"}>
    <${List} />
    ${event && html`<${Detail} key=${event} id=${Number(event)} />`}
  </main>`;
}

/** @type {ReadonlyMap<string, () => unknown>} */
const VIEWS = new Map(
  Object.entries({
    visitors: Visitors,
    calls: Calls,
    rules: Rules,
    ...(report ? {} : { verify: Verify, control: Control }),
  }),
);

/** @param {KeyboardEvent} event */
function onKey(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest("dialog")) return;
  if (target.matches("input, textarea, select")) {
    if (event.key === "Escape") leave(target);
    return;
  }
  const action = KEYS.get(event.key);
  if (action) {
    event.preventDefault();
    action();
  }
}

/** @type {ReadonlyMap<string, () => void>} */
const KEYS = new Map(
  Object.entries({
    j: () => step(1),
    k: () => step(-1),
    "/": () => document.getElementById("search")?.focus(),
    "?": () => opened.set("help"),
    Escape: () => choose(place.value.view ? { visitor: undefined } : { event: undefined }),
  }),
);

/** @param {HTMLElement} field */
function leave(field) {
  if (field.id === "search") retype({ q: undefined });
  field.blur();
}

/** @param {number} by */
function step(by) {
  if (place.value.view) return;
  const { rows } = arrivals.value;
  const at = rows.findIndex(({ id }) => String(id) === place.value.event);
  const next = rows[at < 0 ? 0 : at + by];
  if (next) choose({ event: String(next.id) });
}

function nameTab() {
  const { event } = place.value;
  document.title = [event && `#${event}`, report ? report.title : account, "ours-emulator"].filter(Boolean).join(" · ");
}

// One redraw a frame, however much arrives.
options.debounceRendering = requestAnimationFrame;
restoreTheme();
document.addEventListener("keydown", onKey);
place.subscribe(nameTab);
nameTab();
followPlace();
keepStatusFresh();
render(html`<${App} />`, document.body);
void follow();
