// The buttons of one arrival: copy it in several forms, or send it again.
/** @import { Arrival, RequestDetail, Rule } from "types" */
import { get } from "./api.js";
import { assertion, curl, markdown, needsKey, sdkCall, targetOf } from "./copies.js";
import { CopyButton, perform } from "./parts.js";
import { choose } from "./place.js";
import { report } from "./report.js";
import { html } from "./vendor/library.js";

/** @param {{arrival: Arrival, request: RequestDetail | null, rules: readonly Rule[]}} properties */
export function Copies({ arrival, request, rules }) {
  const call = request && sdkCall(request);
  const isSendable = request && !report && !needsKey(request) && (request.body !== null || request.body_bytes === 0);
  return html`<div class="buttons" role="group" aria-label="Copy and send">
    ${request && html`<${CopyButton} text=${() => curl(request)}>Copy as curl<//>`}
    <${CopyButton} text=${() => assertion(arrival)}>Copy as pytest assertion<//>
    ${call && html`<${CopyButton} text=${() => call}>Copy as SDK call<//>`}
    <${CopyButton} text=${() => markdown(arrival, request, rules)}>Copy as Markdown<//>
    <${CopyButton} text=${() => location.href}>Copy link<//>
    ${isSendable && html`<button type="button" onClick=${() => perform(() => sendAgain(request), "Sent again.")}>Send again</button>`}
  </div>`;
}

/**
 * Send the same once more, and show what became of it.
 * @param {RequestDetail} request
 */
async function sendAgain(request) {
  const { method, content_type, body } = request;
  const headers = content_type ? { "Content-Type": content_type } : undefined;
  const answer = await fetch(targetOf(request), { method, body, ...(headers ? { headers } : {}) });
  const id = Number(answer.headers.get("x-emulator-request-id"));
  if (!id) throw new Error(`The emulator answered ${answer.status}, and stored nothing.`);
  const { events } = await get("/debug/requests/{request_id}", { path: { request_id: id } });
  choose({ event: String(events?.[0]?.id ?? "") });
}
