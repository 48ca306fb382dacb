// What was sent, with each refusal and hint at the line that it is about.
/** @import { Arrival, RequestDetail } from "types" */
/** @import { Line } from "./jsonlines.js" */
import { lineOf, linesOf, within } from "./jsonlines.js";
import { plural, remarksOf } from "./text.js";
import { html, useMemo, useState } from "./vendor/library.js";

const MOST_LINES = 400;
const LONGEST = 2000;

/** @param {{arrival: Arrival, request: RequestDetail}} properties */
export function Sent({ arrival, request }) {
  const pointer = pointerOf(arrival);
  const [whole, setWhole] = useState(false);
  const lines = useMemo(() => linesOf(request.body ?? ""), [request]);
  return html`<section>
    <h3>What was sent</h3>
    ${pointer && lines && html`<p class="buttons"><button type="button" aria-pressed=${String(whole)} onClick=${() => setWhole(!whole)}>Whole request</button></p>`}
    ${lines ? html`<${Lines} lines=${whole ? lines : within(lines, pointer)} arrival=${arrival} pointer=${pointer} />` : html`<${Text} request=${request} />`}
  </section>`;
}

/**
 * The JSON pointer of an arrival in its request, "" if it is all of it.
 * @param {Arrival} arrival
 */
const pointerOf = ({ endpoint, batch_index }) =>
  batch_index === null ? "" : `${endpoint === "batch" ? "/events" : ""}/${batch_index}`;

/** @param {{request: RequestDetail}} properties */
function Text({ request: { body, body_base64, body_missing } }) {
  if (body) return html`<pre class="json">${body.slice(0, MOST_LINES * 100)}</pre>`;
  if (body_base64)
    return html`<p>The body is not text. In base64:</p>
      <pre class="json">${body_base64.slice(0, LONGEST)}</pre>`;
  return html`<p>${body_missing ? `The body is not here: ${body_missing}.` : "The body is empty."}</p>`;
}

/** @param {{lines: readonly Line[], arrival: Arrival, pointer: string}} properties */
function Lines({ lines, arrival, pointer }) {
  const [most, setMost] = useState(MOST_LINES);
  const pinned = remarksOf(arrival).map((remark) => ({ ...remark, line: lineOf(lines, pointer + remark.path) }));
  const depth = lines.reduce((least, line) => Math.min(least, line.depth), Infinity);
  const drawn = lines.slice(0, Math.max(most, ...pinned.map(({ line }) => line + 1)));
  return html`<pre class="json">
${drawn.map((line, index) => {
        const here = pinned.filter((remark) => remark.line === index);
        return html`<${JsonLine} key=${index} line=${line} depth=${line.depth - depth} remarks=${here} />`;
      })}</pre>
    ${drawn.length < lines.length && html`<p class="more"><button type="button" onClick=${() => setMost(Infinity)}>Show all ${plural(lines.length, "line")}</button></p>`}`;
}

/** @param {{line: Line, depth: number, remarks: readonly {kind: string, rule: string, message: string}[]}} properties */
const JsonLine = ({ line, depth, remarks }) =>
  html`<span class=${`line ${remarks.length ? (remarks[0]?.kind ?? "") : ""}`}
      >${"  ".repeat(depth)}${line.parts.map(
        ({ kind, text }, index) =>
          html`<span key=${index} class=${kind}>${text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text}</span>`,
      )}${"\n"}</span
    >${remarks.map(({ kind, rule, message }, index) => html`<span key=${`r${index}`} class=${`pin ${kind}`}>${"  ".repeat(depth)}${message} (${rule})${"\n"}</span>`)}`;
