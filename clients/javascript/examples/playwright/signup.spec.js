// Run it against an emulator of its own: ours-emulator exec -- npx playwright test
import { once } from "node:events";
import { createServer } from "node:http";
import { expect, test } from "ours-emulator/playwright";

// This page stands for your app. How yours learns the address is up to it.
const PAGE = `
  <button onclick="signUp()">Sign up</button>
  <script>
    function signUp() {
      fetch(window.OURS_PRIVACY_BASE_URL + "/track", {
        method: "POST",
        headers: {"Content-Type": "application/json"},
        body: JSON.stringify({token: "my-token", event: "Signed Up", email: "ann@example.com"}),
      });
    }
  </script>
`;
const app = createServer((_, response) => response.setHeader("content-type", "text/html").end(PAGE));

test.use({ oursEmulatorAccount: { allowed_events: ["Signed Up"] } });
test.beforeAll(() => once(app.listen(0, "127.0.0.1"), "listening"));
test.afterAll(() => app.close());

test("a sign-up in the browser is tracked", async ({ page, oursEmulator }) => {
  await page.addInitScript({ content: `window.OURS_PRIVACY_BASE_URL = "${oursEmulator.ingestUrl}"` });
  const { port } = /** @type {import("node:net").AddressInfo} */ (app.address());
  await page.goto(`http://127.0.0.1:${port}/`);
  await page.getByRole("button", { name: "Sign up" }).click();
  const event = await oursEmulator.waitFor("Signed Up", { email: "ann@example.com" });
  expect(event.hints).toEqual([]);
});
