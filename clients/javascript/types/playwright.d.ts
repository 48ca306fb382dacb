/** @import { Account } from "./emulator.js" */
/** @typedef {{ oursEmulator: Account, oursEmulatorAccount: AccountPlan }} Fixtures */
/**
 * The `test` of Playwright Test with the fixture `oursEmulator`: an account for each test, closed after it.
 *
 * `test.use({ oursEmulatorAccount: { … } })` configures the account. A failed test has a page attached that shows what
 * arrived.
 */
export const test: import("@playwright/test").TestType<import("@playwright/test").PlaywrightTestArgs & import("@playwright/test").PlaywrightTestOptions & Fixtures, import("@playwright/test").PlaywrightWorkerArgs & import("@playwright/test").PlaywrightWorkerOptions>;
export { expect } from "@playwright/test";
export type Fixtures = {
    oursEmulator: Account;
    oursEmulatorAccount: AccountPlan;
};
import type { Account } from "./emulator.js";
import type { AccountPlan } from "./types.js";
