// Run it against an emulator of its own: ours-emulator exec -- npx playwright test
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

test.use({ oursEmulatorAccount: { allowed_events: ["Signed Up"] } });

test("a sign-up in the browser is tracked", async ({ page, oursEmulator }) => {
  await page.addInitScript({ content: `window.OURS_PRIVACY_BASE_URL = "${oursEmulator.ingestUrl}"` });
  await page.route("http://localhost/", (route) => route.fulfill({ contentType: "text/html", body: PAGE }));
  await page.goto("http://localhost/");
  await page.getByRole("button", { name: "Sign up" }).click();
  const event = await oursEmulator.waitFor("Signed Up", { email: "ann@example.com" });
  expect(event.hints).toEqual([]);
});
