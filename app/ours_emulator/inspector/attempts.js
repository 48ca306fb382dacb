// The request with its answer and, if the client tried again, its attempts on a line.
/** @import { RequestDetail, RequestRecord } from "types" */
import { Link } from "./parts.js";
import { NOWHERE } from "./place.js";
import { duration, plural, size } from "./text.js";
import { html } from "./vendor/library.js";

const LONGEST = 2000;

/** @param {{request: RequestDetail, attempts: readonly RequestRecord[]}} properties */
export function Attempts({ request, attempts }) {
  const { method, path, content_type, content_encoding, body_bytes, receipts, id } = request;
  const encoding = content_encoding && `, ${content_encoding}`;
  return html`<section>
    <h3>Request and answer</h3>
    <p class="facts">
      <code>${method} ${path}</code> · ${content_type || "no content type"}${encoding} · ${size(body_bytes)} · request
      ${id}
    </p>
    <${Line} attempts=${attempts} current=${id} />
    <${Answer} answer=${request.answer} />
    ${receipts > 1 && html`<p class="facts">The request had <${Link} to=${{ ...NOWHERE, request: String(id) }}>${plural(receipts, "event")}<//>.</p>`}
  </section>`;
}

/** @param {{answer: RequestDetail["answer"]}} properties */
function Answer({ answer }) {
  if (!answer)
    return html`<p class="facts">No answer was kept: a fault held it back, or an older version stored the request.</p>`;
  const { headers, body } = answer;
  const cut = body.length > LONGEST ? `${body.slice(0, LONGEST)}… (${plural(body.length, "character")})` : body;
  return html`<pre class="answer">
${Object.entries(headers).map(([name, value]) => `${name}: ${value}\n`)}${cut && `\n${cut}`}</pre>`;
}

/** @param {{attempts: readonly RequestRecord[], current?: number}} properties */
export const Line = ({ attempts, current }) =>
  html`<ol class="attempts" aria-label=${plural(attempts.length, "attempt")}>
    ${attempts.map((attempt, index) => html`<${Attempt} key=${attempt.id} attempt=${attempt} before=${attempts[index - 1]} current=${attempt.id === current} />`)}
  </ol>`;

/** @param {{attempt: RequestRecord, before: RequestRecord | undefined, current: boolean}} properties */
function Attempt({ attempt, before, current }) {
  const { status, fault, duration_ms, gap_ms, attempt: number } = attempt;
  const asked = before?.fault?.retry_after;
  const kind = status === null ? "lost" : status < 300 ? "accepted" : "rejected";
  return html`<li class=${kind} aria-current=${current ? "true" : undefined}>
    ${gap_ms !== null && html`<span class="gap">${duration(gap_ms)} later${asked ? ` (Retry-After ${duration(asked * 1000)})` : ""}</span>`}
    <b>${status ?? "no answer"}</b>
    <span>attempt ${number}, ${duration(duration_ms)}</span>
    ${fault && html`<span class="chip fault">fault ${fault.name}</span>`}
  </li>`;
}
