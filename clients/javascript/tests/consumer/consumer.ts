// Only type-checked: what a user's TypeScript may and may not say.
import { Emulator, ExpectationError, type Account, type Event } from "ours-emulator";

export async function used(): Promise<Event> {
  await using account: Account = await new Emulator().openAccount({ allowed_events: ["Paid"], clock: new Date() });
  await using fault = await account.fault({ path: "/track", status: 429, retry_after: 0.01, times: 2 });
  const hits: number = await fault.hits();
  const event: Event = await account.waitFor("Paid", { email: "ann@example.com", count: hits, timeout: 100 });
  await account.openAccount({ tracking_plan: "events: { Paid: }" });
  await account.openAccount({ tracking_plan: { events: { Paid: null } } });
  await account.setTrackingPlan("events: { Paid: }");
  const amount: unknown = event.event_properties["amount"];
  const { events } = await account.expect("Paid", { mode: "none", settle: amount ? 1 : 2 }, () => undefined);
  // @ts-expect-error: a misspelt field
  await account.waitFor("Paid", { emial: "ann@example.com" });
  // @ts-expect-error: a name that may be undefined, and then any event would match
  await account.waitFor(hits ? "Paid" : undefined, { email: "ann@example.com" });
  // @ts-expect-error: not a name
  await account.assertTracked(undefined, { email: "ann@example.com" });
  // @ts-expect-error: two objects
  await account.events({ event: "Paid" }, { outcome: "any" });
  // @ts-expect-error: not a mode
  await account.expect("Paid", { mode: "never" }, () => undefined);
  // @ts-expect-error: not an option of a fault
  await account.fault({ statuss: 429 });
  return events[0] ?? event;
}

export const misses = (error: ExpectationError) => error.nearMisses.map(({ event }) => event.id);
