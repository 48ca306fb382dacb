// What stands at the top of a report: what it is about, why the test failed, and what is not in it.
import { report } from "./report.js";
import { fullTime } from "./text.js";
import { html } from "./vendor/library.js";

export function Banner() {
  if (report === null) return null;
  const { title, made_at, failures, missing } = report;
  return html`<section class="banner" aria-label="Report" tabindex="0">
    <p>
      <b>${title || "Report"}</b>${" "}
      <small
        >This is a report of ${fullTime(made_at)}: it shows what had arrived then. It is not connected to an emulator,
        so nothing can be sent or changed here.</small
      >
    </p>
    ${
      missing.length > 0 &&
      html`<p>It is limited, and does not have everything:</p>
        <ul>
          ${missing.map((text, index) => html`<li key=${index}>${text}</li>`)}
        </ul>`
    }
    ${failures.map((text, index) => html`<pre key=${index}>${text}</pre>`)}
  </section>`;
}
