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

test("a server that is no emulator, or is silent, is told from one", async () => {
  const server = createServer((request, response) => {
    if (request.url === "/debug/summary") response.end("<html>");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  const emulator = new Emulator(`http://127.0.0.1:${port}`);
  await assert.rejects(emulator.summary(), /GET \/debug\/summary got an answer that is not an emulator's: <html>/);
  await assert.rejects(emulator.version({ timeout: 20 }), /no emulator answers at .*: it is silent for 0.02 s/);
  server.closeAllConnections();
  server.close();
});

test("a test that replaces fetch, http.request and timers does not reach the client", async () => {
  mock.method(globalThis, "fetch", () => assert.fail("replaced"));
  mock.method(http, "request", () => assert.fail("replaced"));
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    assert.match(await new Emulator().version(), /^\d/);
    await assert.rejects(new Emulator("http://127.0.0.1:9").waitReady({ timeout: 150 }), EmulatorError);
  } finally {
    mock.timers.reset();
    mock.restoreAll();
  }
});
