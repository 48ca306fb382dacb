/** @import { AccountPlan } from "./types.js" */
import { test as base } from "@playwright/test";
import { Emulator } from "./emulator.js";

/** @import { Account } from "./emulator.js" */
/** @typedef {{ oursEmulator: Account, oursEmulatorAccount: AccountPlan }} Fixtures */

/**
 * The `test` of Playwright Test with the fixture `oursEmulator`: an account for each test, closed after it.
 *
 * `test.use({ oursEmulatorAccount: { … } })` configures the account. A failed test has a page attached that shows what
 * arrived.
 */
export const test = base.extend(
  /** @type {import("@playwright/test").Fixtures<Fixtures, {}, import("@playwright/test").PlaywrightTestArgs>} */ ({
    oursEmulatorAccount: [{}, { option: true }],
    oursEmulator: async ({ oursEmulatorAccount }, use, info) => {
      const account = await new Emulator().openAccount(oursEmulatorAccount);
      try {
        await use(account);
        if (info.status !== info.expectedStatus) await attachReport(account, info);
      } finally {
        await account.close();
      }
    },
  }),
);

/** @param {Account} account @param {import("@playwright/test").TestInfo} info */
async function attachReport(account, info) {
  const failures = info.errors.map(({ message, value }) => message ?? value ?? "");
  const body = await account.report({ title: info.title, failures });
  await info.attach("ours-emulator.html", { body, contentType: "text/html" });
}

export { expect } from "@playwright/test";
