// Small parts that several panels use.
/** @import { Outcome } from "types" */
/** @import { Changes } from "./place.js" */
/** @import { ComponentChildren } from "./vendor/library.js" */
import { messageOf } from "./api.js";
import { NOWHERE, account, address, choose, place, retype, root } from "./place.js";
import { Store, useStore } from "./store.js";
import { report } from "./report.js";
import { titleOf } from "./text.js";
import { html, useEffect, useRef, useState } from "./vendor/library.js";

/** @type {readonly Outcome[]} */
export const OUTCOMES = ["accepted", "duplicate", "dropped", "rejected"];
/** What was done last, for everybody to see and hear. */
export const notice = new Store("");

/**
 * A link to another place of the page. Its address can be copied and opened in a new tab.
 * @param {{to: Changes, children: ComponentChildren, class?: string, current?: boolean, label?: string}} properties
 */
export function Link({ to, children, class: name, current, label }) {
  /** @param {MouseEvent} event */
  const follow = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    choose(to);
  };
  const state = current ? "true" : undefined;
  return html`<a href=${address(to)} onClick=${follow} class=${name} aria-current=${state} aria-label=${label}
    >${children}</a
  >`;
}

/**
 * A link to a visitor, on the page of the visitor's account.
 * @param {{account: string, id: string, children: ComponentChildren, class?: string, current?: boolean}} properties
 */
export function VisitorLink({ account: owner, id, ...others }) {
  const to = { ...NOWHERE, view: "visitors", visitor: id };
  if (account !== null || report)
    return html`<${Link}
      to=${{ ...to, q: place.value.view === "visitors" ? place.value.q : undefined }}
      ...${others}
    />`;
  return html`<a href=${new URL(`accounts/${owner}/${address(to)}`, root)} class=${others.class}
    >${others.children}</a
  >`;
}

/** @param {{id: number, children?: ComponentChildren}} properties */
export const EventLink = ({ id, children }) =>
  html`<${Link} to=${{ ...NOWHERE, event: String(id) }}>${children}#${id}<//>`;

/** A link to an event, by its name, and its outcome. @param {{event: {id: number, event: string | null, endpoint: string, outcome: string}}} properties */
export const Named = ({ event }) =>
  html`<${EventLink} id=${event.id}>${`${titleOf(event)} `}<//> <${OutcomeMark} outcome=${event.outcome} />`;

/** @param {{error: string}} properties */
export const Problem = ({ error }) => (error ? html`<p class="problem" role="alert">${error}</p>` : null);

/**
 * A table with *heads* over its columns; its children are the rows.
 * @param {{heads: readonly ComponentChildren[], children: ComponentChildren, class?: string}} properties
 */
export const Table = ({ heads, children, class: name }) =>
  html`<table class=${name}>
    <thead>
      <tr>
        ${heads.map((head, index) => html`<th key=${index} scope="col">${head}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${children}
    </tbody>
  </table>`;

/** @param {{outcome: string}} properties */
export const OutcomeMark = ({ outcome }) => html`<span class=${`outcome ${outcome}`}>${outcome}</span>`;

/** Searches as somebody types. */
export function SearchField() {
  const { q } = useStore(place);
  /** @param {Event} event */
  const search = (event) => retype({ q: /** @type {HTMLInputElement} */ (event.currentTarget).value || undefined });
  return html`<label class="search">
    <span class="sr">Search</span>
    <input type="search" id="search" placeholder="Search  /" value=${q ?? ""} onInput=${search} />
  </label>`;
}

/**
 * A field of a form that offers *choices*: names, or names and what they are called.
 * @param {{label: string, name: string, value: string, choices: readonly string[] | Record<string, string>}} properties
 */
export function Choice({ label, name, value, choices }) {
  const options = Array.isArray(choices) ? choices.map((one) => [one, one]) : Object.entries(choices);
  return html`<label>
    ${label}
    <select name=${name} value=${value}>
      ${options.map(([one, text]) => html`<option key=${one} value=${one}>${text}</option>`)}
    </select>
  </label>`;
}

/**
 * What stands in the fields of a form, by their names, and what changes it.
 * @template {Record<string, string>} T
 * @param {T} initial
 */
export function useForm(initial) {
  const [form, setForm] = useState(initial);
  /** @param {Event} event */
  const edit = ({ target }) => {
    const { name, value } = /** @type {HTMLInputElement} */ (target);
    // From what there is by then: two fields may be edited before the form is drawn again.
    setForm((before) => ({ ...before, [name]: value }));
  };
  return { form, edit };
}

/**
 * A button that copies a text; where the browser does not allow that, it shows the text.
 * @param {{text: () => string, children: ComponentChildren}} properties
 */
export function CopyButton({ text, children }) {
  const [refused, setRefused] = useState("");
  const copy = async () => {
    const copied = text();
    try {
      await navigator.clipboard.writeText(copied);
      notice.set("Copied.");
    } catch {
      setRefused(copied);
    }
  };
  return html`<button type="button" onClick=${copy}>${children}</button>
    ${refused && html`<${Dialog} title="Copy this" close=${() => setRefused("")}><textarea rows="12" readonly aria-label="Text to copy" value=${refused} /><//>`}`;
}

/**
 * A dialog on top of everything else, as long as it is drawn.
 * @param {{title: string, close: () => void, children: ComponentChildren}} properties
 */
export function Dialog({ title, close, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => dialog.current?.showModal(), []);
  return html`<dialog ref=${dialog} onClose=${close} aria-labelledby="dialog-title">
    <h2 id="dialog-title">${title}</h2>
    ${children}
    <form method="dialog"><button>Close</button></form>
  </dialog>`;
}

/**
 * What *load* returns for a key. It is loaded again for another key; until that is there, what there was before stays.
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @param {string | number | object | undefined} key
 * @returns {{value: T | null, error: string}}
 */
export function useLoaded(load, key) {
  const [state, setState] = useState(/** @type {{value: T | null, error: string}} */ ({ value: null, error: "" }));
  useEffect(() => {
    const opened = new AbortController();
    load(opened.signal).then(
      (value) => opened.signal.aborted || setState({ value, error: "" }),
      (error) => opened.signal.aborted || setState({ value: null, error: messageOf(error) }),
    );
    return () => opened.abort();
  }, [key]);
  return state;
}

/**
 * Do something and say so, or say why it failed.
 * @param {() => Promise<unknown>} action
 * @param {string} done
 */
export async function perform(action, done) {
  try {
    await action();
    notice.set(done);
  } catch (error) {
    notice.set(messageOf(error));
  }
}
