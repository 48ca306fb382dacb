import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Emulator, EmulatorError, ExpectationError } from "ours-emulator";
import { track } from "./app.js";

/** @type {import("ours-emulator").Account} */
let account;
beforeEach(async () => {
  account = await new Emulator().openAccount();
});
afterEach(() => account.close());

const ann = { email: "ann@example.com" };
/** @param {string} event @param {object} [fields] */
const send = (event, fields = { userId: "u1" }) => track(account.ingestUrl, event, fields);

test("an event is waited for and returned", async () => {
  const waiting = account.waitFor("Signed Up", { email: "ann@example.com" });
  await send("Signed Up", ann);
  const event = await waiting;
  assert.deepEqual([event.event, event.outcome, event.hints], ["Signed Up", "accepted", []]);
  assert.equal((await account.waitFor({ event: { $regex: "^Signed" } })).id, event.id);
});

test("a wait in vain has the emulator's explanation and the near misses, which are not printed with it", async () => {
  await send("Purchase", { ...ann, eventProperties: { amount: "99.99" } });
  const wait = account.waitFor("Purchase", { match: { "event_properties.amount": { $gt: 50 } }, timeout: 0 });
  const error = await failure(wait, ExpectationError);
  assert.match(error.message, /a string, not a number/);
  assert.equal(error.nearMisses[0]?.event.event, "Purchase");
  assert.deepEqual([error.candidates.length, Object.keys(error)], [0, ["name"]]);
  assert.match(error.stack ?? "", /^ExpectationError: expected [^]*?\n +at .*emulator.test.js/);
  assert.doesNotMatch(error.stack ?? "", /transport.js|node:internal/);
});

test("a field that events do not have is refused, so that a typo never looks like absence", async () => {
  const typo = /** @type {object} */ ({ emial: "ann@example.com" });
  const error = await failure(account.waitFor("Purchase", typo), EmulatorError);
  assert.equal(error.reason, "match.emial: unknown field; did you mean email, or event_properties.emial?");
  assert.equal(error.message, `POST /debug/wait was answered 400: ${error.reason}`);
  assert.equal(error.status, 400);
});

test("expect counts only what arrives during its function", async () => {
  await send("Paid");
  const paid = await account.expect("Paid", { mode: "exactly", count: 2 }, async () => {
    await send("Paid", { userId: "u2" });
    await send("Paid", { userId: "u3" });
  });
  assert.deepEqual([paid.event?.visitor_id, paid.events.map((event) => event.visitor_id)], ["u3", ["u2", "u3"]]);
  const none = await account.expect({ event: "Paid", mode: "none", settle: 10 }, () => undefined);
  assert.deepEqual(none, { event: undefined, events: [] });
});

test("an error in the function of expect is not hidden by what did not arrive", async () => {
  const broken = new Error("the app is broken");
  await assert.rejects(
    account.expect("Paid", () => Promise.reject(broken)),
    broken,
  );
  await assert.rejects(
    account.expect("Paid", { timeout: 0 }, () => undefined),
    ExpectationError,
  );
});

test("a field that is undefined is refused, because any event would match without it", async () => {
  const user = /** @type {{ email?: string }} */ ({});
  const sent = /** @type {object} */ ({ match: { event_properties: { email: user.email } } });
  await assert.rejects(account.waitFor("Paid", sent), {
    name: "TypeError",
    message: "event_properties.email is undefined; omit it, or use null for an event without it",
  });
  await assert.rejects(account.assertSequence([{ email: user.email }]), /^TypeError: matches.0.email is undefined/);
  const step = /** @type {any} */ (undefined);
  await assert.rejects(account.assertSequence(["Paid", step]), /^TypeError: matches.1 is undefined; use the name/);
});

test("a value that JSON loses or changes is refused, because another event would match", async () => {
  await send("Paid", { userId: "u1", eventProperties: { amount: null, plan: {} } });
  /** @type {any[]} */
  const cycle = [];
  cycle.push(cycle);
  const lost = /** @type {[any, string][]} */ ([
    [() => 1, "is a function"],
    [Symbol("one"), "is a symbol"],
    [5n, "is a bigint"],
    [NaN, "is NaN"],
    [Infinity, "is Infinity"],
    [new Map([["a", 1]]), "is an instance of Map"],
    [new Set(["pro"]), "is an instance of Set"],
    [/pro/, "is an instance of RegExp"],
    [new Date(NaN), "is an invalid Date"],
    [{ toJSON: () => undefined }, "is undefined"],
    [cycle, "contains itself"],
  ]);
  for (const [value, described] of lost) {
    const message = new RegExp(`^TypeError: event_properties.plan(.name)?(.0)? ${described}`);
    const fields = { event_properties: { plan: { name: value } } };
    await assert.rejects(account.waitFor("Paid", { ...fields, timeout: 0 }), message);
    await assert.rejects(account.assertNone("Refunded", { match: { "event_properties.plan": value } }), message);
  }
  await assert.rejects(account.waitFor("Paid", { match: { email: new Array(1) } }), /^TypeError: email.0 is undefined/);
  await assert.rejects(account.fault({ path: "/track", status: 500, delay_ms: NaN }), /^TypeError: delay_ms is NaN/);
  const everywhere = /** @type {any} */ ({ path: undefined, status: 500 });
  await assert.rejects(account.fault(everywhere), /^TypeError: path is undefined; omit it/);
  const plan = /** @type {any} */ (undefined);
  await assert.rejects(account.setTrackingPlan(plan), /^TypeError: plan is undefined/);
  await assert.rejects(
    account.experiment("checkout", { variants: [plan] }),
    /^TypeError: plan.variants.0 is undefined/,
  );
  await account.waitFor("Paid", { event_properties: JSON.parse('{"amount": null}') });
});

test("a filter that is undefined, or no text, is refused, because everything would be listed without it", async () => {
  await send("Paid");
  for (const value of /** @type {any[]} */ ([undefined, null, NaN, ["u1"], { $regex: "u" }, () => 1])) {
    await assert.rejects(account.visitor({ email: value }), /^TypeError: email is /);
    await assert.rejects(account.visitors({ email: value }), /^TypeError: email is /);
    await assert.rejects(account.events({ visitor_id: value }), /^TypeError: visitor_id is /);
    await assert.rejects(account.requests({ since: value }), /^TypeError: since is /);
  }
  await assert.rejects(account.events({ since: new Date(NaN) }), /^TypeError: since is an invalid Date/);
  assert.equal((await account.events({ "property.amount": 1, test: false })).length, 0);
});

test("a field that is given twice is refused, because one of its values would be ignored", async () => {
  await send("Paid");
  const twice = { user_id: "nobody", match: { user_id: "u1" } };
  await assert.rejects(account.waitFor("Paid", twice), {
    name: "TypeError",
    message: "user_id is given twice, by itself and in match; give it once",
  });
  await assert.rejects(account.waitFor("Else", { match: { event: "Paid" } }), /^TypeError: event is given twice/);
  await assert.rejects(account.waitFor("Else", { event: "Paid" }), /^TypeError: event is given twice, as a name and/);
  await assert.rejects(account.events("Else", { event: "Paid" }), /^TypeError: event is given twice/);
  const match = /** @type {any} */ (undefined);
  await assert.rejects(account.waitFor("Paid", { match }), /^TypeError: match is undefined; use an object, or omit it/);
});

test("a name that is undefined, or no text, is refused, because any event would match without it", async () => {
  await send("Paid");
  const other = { email: "nobody@example.com", timeout: 0 };
  const advice = "use text, or give only an object with the options";
  const names = /** @type {[any, string][]} */ ([
    [undefined, "undefined"],
    [null, "null"],
    [5, "5"],
    [["Paid"], "an array"],
    [{ event: "Paid" }, "an object"],
    [new String("Paid"), "an instance of String"],
  ]);
  for (const [name, described] of names) {
    const refusal = { name: "TypeError", message: `the name of the event is ${described}; ${advice}` };
    await assert.rejects(account.waitFor(name, other), refusal);
    await assert.rejects(account.assertTracked(name, other), refusal);
    await assert.rejects(account.assertNone(name, other), refusal);
    await assert.rejects(account.events(name, { outcome: "rejected" }), refusal);
    await assert.rejects(
      account.expect(name, other, () => assert.fail("it ran")),
      refusal,
    );
  }
  const nothing = /** @type {any} */ (undefined);
  await assert.rejects(account.waitFor(nothing), /^TypeError: the name of the event is undefined/);
  await assert.rejects(account.waitFor("Paid", /** @type {any} */ (5)), /^TypeError: the options are 5; use an object/);
  assert.equal((await account.waitFor()).event, "Paid");
});

test("what arrived is checked without waiting", async () => {
  await send("Cart Viewed");
  await send("Paid", { userId: "u1", properties: { coupon: "SUMMER" } });
  assert.equal((await account.assertTracked("Paid", { user_id: "u1", count: 1 })).event, "Paid");
  await account.assertNone("Refunded");
  const steps = await account.assertSequence(["Cart Viewed", { event: "Paid" }], { strict: true });
  assert.equal(steps.length, 2);
  await assert.rejects(account.assertTracked("Paid", { count: 2 }), /Paid/);
  await assert.rejects(account.assertTracked("Paid", { count: 0 }), /count is 0; use assertNone to expect no event/);
  await assert.rejects(account.assertNone("Paid"), ExpectationError);
  await assert.rejects(account.assertSequence(["Paid", "Cart Viewed"]), ExpectationError);
});

test("hints fail assertNoHints unless their rule is ignored, and only rules can be ignored", async () => {
  await send("Paid", { userId: "u1", properties: { coupon: "SUMMER" } });
  await assert.rejects(account.assertNoHints(), /'Paid' visitor=u1: properties: dropped.* \[unknown-keys\]/);
  await account.assertNoHints({ ignore: ["unknown-keys"] });
  await assert.rejects(account.assertNoHints({ ignore: ["unknown-key"] }), /ignore: unknown rule 'unknown-key'/);
});

test("events, visitors and requests are listed, the oldest first", async () => {
  await send("Opened", ann);
  await send("Paid", { userId: "u2" });
  await send("", ann);
  assert.deepEqual(names(await account.events()), ["Opened", "Paid"]);
  assert.deepEqual(names(await account.events("Paid", { since: new Date(0) })), ["Paid"]);
  assert.equal((await account.events({ outcome: "any" })).length, 3);
  const visitor = await account.visitor({ email: "ann@example.com" });
  assert.equal(visitor.identifiers.email, "ann@example.com");
  const requests = await account.requests();
  assert.deepEqual(
    requests.map((request) => request.status),
    [200, 200, 400],
  );
  assert.equal((await account.request(requests[0]?.id ?? 0)).events.length, 1);
  const paid = await account.assertTracked("Paid");
  assert.ok((await account.event(paid.id)).changes.length);
  assert.equal((await account.summary()).requests, 3);
  assert.ok(Array.isArray(await account.ruleCounts()));
});

test("a visitor that is not there, and one of several, are refused with those that are", async () => {
  await send("Opened", ann);
  await send("Opened", { userId: "u2" });
  await assert.rejects(
    account.visitor({ user_id: "u3" }),
    /^ExpectationError: there is no visitor with user_id='u3'; there are:\n/,
  );
  await assert.rejects(account.visitor(), /expected one visitor, but there are 2:\n.*email='ann@example.com'/);
});

test("a fault acts until it is dropped, and has the count of its hits", async () => {
  const fault = await account.fault({ path: "/track", status: 503, retry_after: 1 });
  assert.equal(await send("Paid"), 503);
  assert.equal(await fault.hits(), 1);
  await fault.drop();
  assert.equal(await send("Paid"), 200);
  assert.equal(await fault.hits(), 1);
});

test("a fault with a function acts while it runs, however that ends", async () => {
  const fault = await account.fault({ name: "late", status: 429, times: 2 }, () => send("Paid"));
  assert.deepEqual([fault.name, await fault.hits()], ["late", 2]);
  await assert.rejects(
    account.fault({ status: 500 }, () => Promise.reject(new Error("broken"))),
    /broken/,
  );
  assert.equal(await send("Paid"), 200);
});

test("a fault that a reset has ended can still be dropped", async () => {
  const fault = await account.fault({ status: 500 });
  await account.close();
  await fault.drop();
  assert.equal(await fault.hits(), 0);
});

test("the clock is stopped, moved and let go", async () => {
  await account.clock.freeze("2026-01-01");
  await account.clock.advance({ days: 8 });
  assert.equal((await account.clock.now()).toISOString(), "2026-01-09T00:00:00.000Z");
  assert.equal((await account.clock.advance(1500)).now_ms, Date.UTC(2026, 0, 9, 0, 0, 1, 500));
  assert.equal((await account.clock.set(new Date(0))).now_ms, 0);
  assert.equal((await account.clock.resume()).state, "real");
  const unknown = /** @type {object} */ ({ day: 1 });
  await assert.rejects(account.clock.advance(unknown), /day is not a unit of time; use weeks, days/);
});

test("a time that is none does not leave the clock as it was", async () => {
  const parts = /** @type {any[]} */ ([{ toString: 1 }, { days: undefined }, { days: "1" }, { weeks: 1e300 }, NaN]);
  for (const time of parts) await assert.rejects(account.clock.advance(time), TypeError);
  await assert.rejects(account.clock.advance({ days: NaN }), /^TypeError: days is NaN; use a finite number$/);
  for (const time of /** @type {any[]} */ ([undefined, "1", null, []])) {
    await assert.rejects(account.clock.advance(time), /^TypeError: the time is .*; use milliseconds, or parts like/);
  }
  for (const when of /** @type {any[]} */ ([null, true, {}, new Date(NaN), NaN])) {
    await assert.rejects(account.clock.freeze(when), /^TypeError: the time is /);
    await assert.rejects(account.clock.set(when), /^TypeError: the time is /);
  }
  assert.equal((await account.clock.advance({ days: 0 })).state, "real");
});

test("a name or an id that is none is refused before it makes another path", async () => {
  for (const name of /** @type {any[]} */ (["..", ".", "", "a/b", "é", "-a", "a".repeat(101), null, 5])) {
    await assert.rejects(
      account.fault({ name, status: 500 }),
      /^TypeError: name is .*; use letters, digits, dot, dash/,
    );
    await assert.rejects(account.openAccount({ name }), /^TypeError: name is .*; use letters, digits, dot, dash/);
    await assert.rejects(account.removeExperiment(name), /^TypeError: experiment_key is /);
  }
  for (const id of /** @type {any[]} */ (["..", "latest", "", 1.5, NaN, undefined, null])) {
    await assert.rejects(account.event(id), /^TypeError: event_id is .*; use an integer$/);
    await assert.rejects(account.request(id), /^TypeError: request_id is .*; use an integer$/);
  }
});

test("an account accepts what it was opened with, and is isolated", async () => {
  const plan = { tokens: ["live"], allowed_events: ["Paid"], clock: "2026-01-01" };
  const other = await account.openAccount(plan);
  assert.equal(other.token, "live");
  assert.equal((await other.clock.now()).toISOString(), "2026-01-01T00:00:00.000Z");
  await track(other.ingestUrl, "Refunded", { token: "live", userId: "u1" });
  assert.equal((await other.events({ outcome: "dropped" })).length, 1);
  assert.deepEqual(await account.events({ outcome: "any" }), []);
  await other.close();
  await other.close();
  assert.equal(await track(other.ingestUrl, "Paid", { userId: "u1" }), 410);
});

test("an account that is named is one that may exist, and keeps its settings", async () => {
  const one = await account.openAccount({ name: `${account.account}-2`, tokens: ["live"] });
  const same = await account.openAccount({ name: `${account.account}-2` });
  assert.equal(await track(same.ingestUrl, "Paid", { userId: "u1" }), 401);
  await one.close();
});

test("an account is closed at the end of its scope", async () => {
  const scoped = await account.openAccount();
  await scoped[Symbol.asyncDispose]();
  assert.equal(await track(scoped.ingestUrl, "Paid", { userId: "u1" }), 410);
  const fault = await account.fault({ status: 500 });
  await fault[Symbol.asyncDispose]();
  assert.equal(await send("Paid"), 200);
});

test("requests are exported, deleted and sent again", async () => {
  await send("Paid");
  const lines = await account.export({ redact: true });
  assert.ok(!lines.includes("my-token"));
  assert.equal((await account.reset()).requests, 1);
  assert.equal((await account.replay(await account.export())).imported, 0);
  assert.equal((await account.replay(lines)).imported, 1);
  assert.deepEqual(names(await account.events()), ["Paid"]);
});

test("experiments are set and removed", async () => {
  const set = await account.experiment("checkout", { variants: [{ id: "green" }] });
  assert.equal(set.key, "checkout");
  assert.equal((await account.removeExperiment("checkout")).variants[0]?.id, "green");
});

test("a tracking plan is set, by itself or as text, and removed", async () => {
  const events = { Paid: { required: ["amount"] } };
  assert.deepEqual((await account.setTrackingPlan({ events })).events, events);
  await send("Paid");
  const [event] = await account.events({ hint: "tracking-plan" });
  assert.equal(event?.hints[0]?.path, "/eventProperties/amount");
  await account.setTrackingPlan("events:\n  Paid:\n    required: [price]\n");
  assert.deepEqual((await account.removeTrackingPlan()).events, { Paid: { required: ["price"] } });
  await assert.rejects(account.removeTrackingPlan(), /has no tracking plan/);
});

test("the report of an account is a page", async () => {
  assert.match(await account.report({ title: "a test", failures: ["it failed"] }), /^<!doctype html>/i);
});

test("a list of several pages is whole", async () => {
  await send("E0");
  const events = Array.from({ length: 1000 }, (_, number) => ({
    event: `E${number + 1}`,
    userId: "u1",
    distinctId: `${number}`,
  }));
  const body = JSON.stringify({ token: "my-token", events });
  const headers = { "content-type": "application/json" };
  await (await fetch(`${account.ingestUrl}/batch`, { method: "POST", headers, body })).text();
  const listed = names(await account.events({ order: "arrival" }));
  assert.deepEqual([listed.length, listed[0], listed.at(-1)], [1001, "E0", "E1000"]);
});

/** @param {{ event: string | null }[]} events */
const names = (events) => events.map(({ event }) => event);

/**
 * Return what the promise is rejected with, which must be of that kind.
 * @template {Error} E
 * @param {Promise<unknown>} promise
 * @param {new (...given: any[]) => E} kind
 * @returns {Promise<E>}
 */
async function failure(promise, kind) {
  const error = await promise.then(
    () => undefined,
    (/** @type {unknown} */ thrown) => thrown,
  );
  assert.ok(error instanceof kind, String(error));
  return error;
}
