import assert from "node:assert/strict";
import http, { createServer } from "node:http";
import { mock, test } from "node:test";
import { Emulator, EmulatorError } from "ours-emulator";

test("a handle knows the addresses and tokens of its account", () => {
  const emulator = new Emulator("http://emulator.test:4010/accounts/shop/api/v1/", { adminToken: "secret" });
  assert.deepEqual([emulator.serverUrl, emulator.account], ["http://emulator.test:4010", "shop"]);
  assert.deepEqual(emulator.env, {
    OURS_PRIVACY_BASE_URL: "http://emulator.test:4010/accounts/shop/api/v1",
    OURS_EMULATOR_URL: "http://emulator.test:4010/accounts/shop",
    OURS_EMULATOR_CLIENT_URL: "http://emulator.test:4010/accounts/shop/api/client",
    OURS_EMULATOR_TOKEN: "token-shop",
    OURS_EMULATOR_PUBLIC_KEY: "pk_shop",
    OURS_EMULATOR_ADMIN_TOKEN: "secret",
  });
});

test("without an address the variables decide, which ours-emulator exec sets", () => {
  const emulator = new Emulator();
  assert.equal(emulator.url, process.env.OURS_EMULATOR_URL);
  assert.equal(emulator.token, process.env.OURS_EMULATOR_TOKEN ?? "token-default");
});

for (const url of ["127.0.0.1:4010", "http://", "http://emulator.test/shop", "http://emulator.test:port"]) {
  test(`${url} is refused as an address`, () => {
    const message = `'${url}' is not the address of an emulator; use one like http://127.0.0.1:4010`;
    assert.throws(() => new Emulator(url), { name: "TypeError", message });
  });
}

test("an emulator that does not answer is named with the reason", async () => {
  const emulator = new Emulator("http://127.0.0.1:9");
  await assert.rejects(emulator.events(), {
    name: "EmulatorError",
    message: "no emulator answers at http://127.0.0.1:9: connect ECONNREFUSED 127.0.0.1:9",
    status: undefined,
  });
  await assert.rejects(emulator.waitReady({ timeout: 0 }), EmulatorError);
  await assert.rejects(emulator.closeAccount(), /this handle has no account to close: it is for all accounts/);
});

/**
 * Return a handle on a server that answers so, until the test ends.
 * @param {import("node:test").TestContext} t
 * @param {http.RequestListener} listener
 */
async function handleOn(t, listener) {
  const server = createServer(listener);
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return new Emulator(`http://127.0.0.1:${port}`);
}

test("a server that is no emulator, or is silent, is told from one", async (t) => {
  const emulator = await handleOn(t, (request, response) => {
    if (request.url === "/debug/summary") response.end("<html>");
  });
  await assert.rejects(emulator.summary(), /GET \/debug\/summary got an answer that is not an emulator's: <html>/);
  await assert.rejects(emulator.version({ timeout: 20 }), /no emulator answers at .*: no answer within 0.02 s/);
});

test("an answer that no emulator gives is told from one, whatever was asked", async (t) => {
  let answer = "";
  const emulator = await (await handleOn(t, (_, response) => response.end(answer))).openAccount({ name: "shop" });
  const calls = [
    ...[() => emulator.version(), () => emulator.waitReady({ timeout: 0 }), () => emulator.summary()],
    ...[() => emulator.events(), () => emulator.visitors(), () => emulator.event(1), () => emulator.request(1)],
    ...[() => emulator.waitFor("Paid"), () => emulator.assertTracked("Paid"), () => emulator.assertNone("Paid")],
    ...[() => emulator.assertNoHints(), () => emulator.ruleCounts(), () => emulator.replay("")],
    ...[() => emulator.clock.now(), () => emulator.clock.resume(), () => emulator.fault({ status: 500 })],
    ...[() => emulator.reset(), () => emulator.openAccount(), () => emulator.closeAccount()],
    () => emulator.removeTrackingPlan(),
  ];
  for (answer of ["", "<html>", "null", "5", "[]", "{}", '{"status":"ok"}']) {
    for (const call of calls)
      await assert.rejects(call, /^EmulatorError: .* got an answer that is not an emulator's: /);
  }
});

test("a server whose answer never ends is given up in time", async (t) => {
  const emulator = await handleOn(t, (_, response) => {
    const dripping = setInterval(() => response.write(" "), 5);
    response.on("close", () => clearInterval(dripping));
  });
  const refusal = /^EmulatorError: no emulator answers at .*: no answer within 1 s$/;
  await assert.rejects(emulator.waitReady({ timeout: 50 }), refusal);
});

test("a server that switches protocols is no emulator", async (t) => {
  const emulator = await handleOn(t, (request) => {
    request.socket.end("HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n");
  });
  await assert.rejects(emulator.summary(), /^EmulatorError: no emulator answers at .*: it answered 101$/);
  await assert.rejects(emulator.waitReady({ timeout: 0 }), /: it answered 101$/);
});

test("an emulator that is slow to answer is ready, however little time is left", async (t) => {
  const answer = JSON.stringify({ status: "ok", version: "1.0.0", revision: "1" });
  const emulator = await handleOn(t, (_, response) => setTimeout(() => response.end(answer), 50));
  await emulator.waitReady({ timeout: 0 });
});

test("options that would be ignored are refused", async () => {
  const emulator = new Emulator("http://127.0.0.1:9");
  const calls = /** @type {any} */ (emulator);
  await assert.rejects(calls.waitReady(500), /^TypeError: the options are 500; use an object, or omit them$/);
  await assert.rejects(calls.waitReady({ timeuot: 500 }), /^TypeError: timeuot is not an option; use timeout$/);
  await assert.rejects(calls.version("5"), /^TypeError: the options are '5'; /);
  await assert.rejects(
    calls.assertSequence(["Paid"], { strikt: true }),
    /^TypeError: strikt is not an option; use strict$/,
  );
  await assert.rejects(calls.assertNoHints(["dedup"]), /^TypeError: the options are an array; /);
  await assert.rejects(calls.export({ redacted: true }), /^TypeError: redacted is not an option; use redact$/);
  await assert.rejects(calls.openAccount("shop"), /^TypeError: the options are 'shop'; /);
  await assert.rejects(calls.visitors("ann@example.com"), /^TypeError: the options are 'ann@example.com'; /);
  const refusal = { name: "TypeError", message: "admintoken is not an option; use token, publicKey, adminToken" };
  assert.throws(() => new Emulator("http://127.0.0.1:9", /** @type {any} */ ({ admintoken: "secret" })), refusal);
});

test("an argument that cannot be sent is not taken for an emulator that does not answer", async () => {
  const emulator = new Emulator("http://127.0.0.1:9");
  for (const timeout of /** @type {any[]} */ ([NaN, Infinity, -1, "5", null])) {
    const message = `timeout is ${typeof timeout === "string" ? "'5'" : timeout}; use milliseconds, at least 0`;
    const refusal = { name: "TypeError", message };
    await assert.rejects(emulator.version({ timeout }), refusal);
    await assert.rejects(emulator.waitReady({ timeout }), refusal);
    await assert.rejects(emulator.waitFor("Paid", { timeout }), refusal);
    await assert.rejects(
      emulator.waitFor("Paid", /** @type {object} */ ({ settle: timeout })),
      /^TypeError: settle is/,
    );
  }
  const lines = /** @type {any} */ ({});
  await assert.rejects(emulator.replay(lines), /^TypeError: replay takes JSON Lines as text or bytes, not an object$/);
  for (const adminToken of /** @type {any[]} */ (["a\nb", "é😀", "two words", 5])) {
    assert.throws(() => new Emulator("http://127.0.0.1:9", { adminToken }), /^TypeError: adminToken must be text of/);
  }
});

test("a test that replaces fetch, http.request, timers, clocks and random values does not reach the client", async () => {
  const emulator = new Emulator();
  mock.method(globalThis, "fetch", () => assert.fail("replaced"));
  mock.method(http, "request", () => assert.fail("replaced"));
  mock.method(performance, "now", () => 0);
  mock.method(crypto, "randomUUID", () => "00000000-0000-0000-0000-000000000000");
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  try {
    assert.match(await emulator.version(), /^\d/);
    await assert.rejects(new Emulator("http://127.0.0.1:9").waitReady({ timeout: 150 }), EmulatorError);
    const accounts = [await emulator.openAccount(), await emulator.openAccount()];
    assert.notEqual(accounts[0]?.account, accounts[1]?.account);
    for (const account of accounts) await account.close();
  } finally {
    mock.timers.reset();
    mock.restoreAll();
  }
});
