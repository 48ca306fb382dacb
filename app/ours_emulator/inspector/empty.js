// What to do while nothing has arrived yet.
import { quoted } from "./copies.js";
import { CopyButton, perform } from "./parts.js";
import { account, base } from "./place.js";
import { report } from "./report.js";
import { status } from "./status.js";
import { useStore } from "./store.js";
import { html } from "./vendor/library.js";

const TRACK = "api/v1/track";

export function Empty() {
  const { accounts } = useStore(status);
  if (report) return html`<section class="empty" aria-label="Arrivals"><h2>Nothing had arrived</h2></section>`;
  const allowed = accounts.find((one) => one.account === (account ?? "default"))?.allowed_events ?? [];
  const body = JSON.stringify({ token: "my-token", event: allowed?.[0] ?? "Test Event", userId: "user-1" });
  const line = `export OURS_PRIVACY_BASE_URL=${base}api/v1`;
  const command = `curl -sS ${quoted(`${base}${TRACK}`)} \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(body)}`;
  const send = () =>
    perform(
      () => fetch(new URL(TRACK, base), { method: "POST", headers: { "Content-Type": "application/json" }, body }),
      "A test event was sent.",
    );
  return html`<section class="empty" aria-label="Arrivals">
    <h2>Nothing has arrived yet</h2>
    <p>
      Point the app at ${account === null ? "the emulator" : html`account <b>${account}</b>`}, or send an event by hand.
      It appears here at once.
    </p>
    <h3>In the environment of the app</h3>
    <pre>${line}</pre>
    <p><${CopyButton} text=${() => line}>Copy<//></p>
    <h3>By hand</h3>
    <pre>${command}</pre>
    <p class="buttons">
      <${CopyButton} text=${() => command}>Copy<//>
      <button type="button" class="primary" onClick=${send}>Send a test event</button>
    </p>
  </section>`;
}
