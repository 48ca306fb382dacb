// Run it against an emulator of its own: ours-emulator exec -- npx vitest run
import { Emulator, type Account } from "ours-emulator";
import { test as base, expect } from "vitest";
import { signUp } from "../signup.js";

const test = base.extend<{ emulator: Account }>({
  // eslint-disable-next-line no-empty-pattern -- Vitest reads from the parameter which other fixtures are needed.
  emulator: async ({}, use) => {
    const account = await new Emulator().openAccount();
    await use(account);
    await account.close();
  },
});

test("a sign-up is tracked", async ({ emulator }) => {
  await signUp(emulator.ingestUrl, "ann@example.com");
  const event = await emulator.waitFor("Signed Up", { email: "ann@example.com" });
  expect(event.hints).toEqual([]);
});
