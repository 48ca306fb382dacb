// Fails on purpose: tests/test_javascript.py looks at what a failed test has attached.
import { test } from "ours-emulator/playwright";

test("a test that fails", async ({ oursEmulator }) => {
  await oursEmulator.assertTracked("Paid");
});
