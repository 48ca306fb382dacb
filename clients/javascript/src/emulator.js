/** @import { AccountPlan, Arrived, Body, Cleared, Condition, CountedCondition, Event } from "./types.js" */
/** @import { EventDetail, EventFilters, ExpectOptions, ExperimentPlan, ExperimentState, Given, TrackingPlan } from "./types.js" */
/** @import { FaultPlan, HandleOptions, Imported, Listed, Page, RequestDetail } from "./types.js" */
/** @import { RequestFilters, RequestRecord, RuleCount, Summary, Visitor, VisitorFilters } from "./types.js" */
/** @import { WaitOptions } from "./types.js" */
import { DEFAULT_URL, INGEST_PATH, parsed } from "./address.js";
import { knownRules, noHints, onlyVisitor } from "./checks.js";
import { Clock } from "./clock.js";
import { condition, named, step, tracked } from "./conditions.js";
import { EmulatorError } from "./errors.js";
import { body, Fault } from "./fault.js";
import { checkJson, checkMilliseconds, checkObject, checkToken, described, known, pathPart } from "./given.js";
import { bodyOf, json, moment, pathOf, Transport } from "./transport.js";

// Taken when the module is loaded: tests replace timers, clocks and random values, and that must not reach the client.
const { setTimeout } = globalThis;
const now = performance.now.bind(performance);
const randomUUID = crypto.randomUUID.bind(crypto);
const PAGE = 1000;
const POLL_MS = 100;
/** The least time that waitReady gives an answer, so that a slow emulator is not taken for a missing one. */
const MIN_ANSWER_MS = 1000;
const READY_MS = 30_000;
const SILENCE_MS = 30_000;
const REPLAY_MS = 600_000;
const ADVICE = "; run your tests with `ours-emulator exec -- COMMAND`, or set OURS_EMULATOR_URL";

/**
 * A running emulator, or one account of it at `…/accounts/NAME`, asked through its debug API.
 *
 * Every method throws EmulatorError if the emulator cannot be reached or refuses the operation; those that expect
 * something throw ExpectationError. Times are in milliseconds.
 */
export class Emulator {
  #transport;

  /**
   * @param {string} [url] by default OURS_EMULATOR_URL, or else the address that `ours-emulator serve` has by default
   * @param {HandleOptions} [options]
   */
  constructor(url, options = {}) {
    known(options, "token", "publicKey", "adminToken");
    const { env } = process;
    const { server, account } = parsed(url ?? (env.OURS_EMULATOR_URL || DEFAULT_URL));
    const own = url === undefined ? { token: env.OURS_EMULATOR_TOKEN, publicKey: env.OURS_EMULATOR_PUBLIC_KEY } : {};
    /** The address of the whole emulator. */
    this.serverUrl = server;
    /** The name of the account; undefined for all of them. */
    this.account = account;
    /** The address of this handle; a browser shows there what arrived. */
    this.url = account === undefined ? server : `${server}/accounts/${account}`;
    /** A token that your app can send. */
    this.token = options.token || own.token || `token-${account ?? "default"}`;
    /** A key of the Client API that your app can send. */
    this.publicKey = options.publicKey || own.publicKey || `pk_${account ?? "default"}`;
    /** What the debug API asks for, if it does. */
    this.adminToken = options.adminToken || env.OURS_EMULATOR_ADMIN_TOKEN || undefined;
    checkToken(this.adminToken);
    const advice = url === undefined && !env.OURS_EMULATOR_URL ? ADVICE : "";
    this.#transport = new Transport(server, this.url, this.adminToken, advice);
    /** The clock of this account. */
    this.clock = new Clock(this.#transport);
  }

  /** The base URL of the Ingest API: what OURS_PRIVACY_BASE_URL is set to. */
  get ingestUrl() {
    return this.url + INGEST_PATH;
  }

  /** The base URL of the Client API. */
  get clientUrl() {
    return `${this.url}/api/client`;
  }

  /** Variables for a process: with them an app that uses the vendor's SDK talks to this emulator. */
  get env() {
    return {
      OURS_PRIVACY_BASE_URL: this.ingestUrl,
      OURS_EMULATOR_URL: this.url,
      OURS_EMULATOR_CLIENT_URL: this.clientUrl,
      OURS_EMULATOR_TOKEN: this.token,
      OURS_EMULATOR_PUBLIC_KEY: this.publicKey,
      ...(this.adminToken === undefined ? {} : { OURS_EMULATOR_ADMIN_TOKEN: this.adminToken }),
    };
  }

  // What arrived

  /**
   * Return events by their time, the oldest first: accepted ones, unless `outcome` says otherwise.
   * @param {Given<EventFilters>} given the event's name, which may be left out, and parameters of `GET /debug/events`
   * @returns {Promise<Event[]>}
   */
  async events(...given) {
    return this.#all("/debug/events", named(given));
  }

  /**
   * Return one event, whatever its outcome, with what it changed of its visitor.
   * @param {number} id
   * @returns {Promise<EventDetail>}
   */
  async event(id) {
    return this.#transport.call("get", "/debug/events/{event_id}", { path: { event_id: id } });
  }

  /**
   * Return visitors, the oldest first.
   * @param {VisitorFilters} [filters] external_id, email, user_id, anonymous_id, phone_number or q
   * @returns {Promise<Visitor[]>}
   */
  async visitors(filters = {}) {
    return this.#all("/debug/visitors", filters);
  }

  /**
   * Return the only visitor that matches. Throws ExpectationError if there are none or several.
   * @param {VisitorFilters} filters
   * @returns {Promise<Visitor>}
   */
  async visitor(filters = {}) {
    const matching = await this.visitors(filters);
    return onlyVisitor(matching, filters, matching.length ? matching : await this.visitors());
  }

  /**
   * Return the journal, the oldest request first.
   * @param {RequestFilters} [filters]
   * @returns {Promise<RequestRecord[]>}
   */
  async requests(filters = {}) {
    return this.#all("/debug/requests", filters);
  }

  /**
   * Return one request with its body, its events and its answer.
   * @param {number} id
   * @returns {Promise<RequestDetail>}
   */
  async request(id) {
    return this.#transport.call("get", "/debug/requests/{request_id}", { path: { request_id: id } });
  }

  /**
   * Return the counts.
   * @returns {Promise<Summary>}
   */
  summary() {
    return this.#transport.call("get", "/debug/summary");
  }

  /**
   * Return how many events each rule applied to, the rule with most of them first.
   * @returns {Promise<RuleCount[]>}
   */
  async ruleCounts() {
    return (await this.#transport.call("get", "/debug/rules/counts")).items;
  }

  /** Return a page in one file that shows what is in this account. @param {{ title?: string, failures?: string[] }} [about] */
  report(about = {}) {
    return this.#transport.text("post", "/debug/report", { body: bodyOf(about) });
  }

  // What is expected

  /**
   * Wait until the events that match have arrived, and return the last one.
   * @param {Given<WaitOptions>} given the event's name, which may be left out, and options
   * @returns {Promise<Event>}
   */
  async waitFor(...given) {
    return only(await this.#wait(condition(given)));
  }

  /**
   * Run a function, and wait after it for events that arrived since it began.
   * @overload
   * @param {string | ExpectOptions} event
   * @param {() => unknown} block
   * @returns {Promise<Arrived>}
   */
  /**
   * @overload
   * @param {string} event
   * @param {ExpectOptions} options
   * @param {() => unknown} block
   * @returns {Promise<Arrived>}
   */
  /**
   * @param {unknown[]} given
   * @returns {Promise<Arrived>}
   */
  async expect(...given) {
    const run = given.at(-1);
    if (typeof run !== "function") {
      throw new TypeError("expect needs a function to run; use waitFor to wait without one");
    }
    const expected = condition(given.slice(0, -1));
    const after = (await this.summary()).newest_event;
    await run();
    const met = await this.#wait({ ...expected, after });
    return { event: met.last ?? undefined, events: met.items };
  }

  /**
   * Check, without waiting, that an event has arrived (exactly `count` of them), and return the last to arrive.
   * @param {Given<CountedCondition>} given the event's name, which may be left out, and options
   * @returns {Promise<Event>}
   */
  async assertTracked(...given) {
    return only(await this.#transport.call("post", "/debug/verify", { body: tracked(condition(given)) }));
  }

  /**
   * Check, without waiting, that no such event has arrived.
   * @param {Given<Condition>} given the event's name, which may be left out, and options
   */
  async assertNone(...given) {
    await this.#transport.call("post", "/debug/verify", { body: { ...condition(given), mode: "none" } });
  }

  /**
   * Check, without waiting, that there are events in this order of their time, and return them.
   * @param {readonly (string | NonNullable<Condition["match"]>)[]} matches names or matches, each for one event
   * @param {{ strict?: boolean }} [options] strict: no other event of the account is between them
   * @returns {Promise<Event[]>}
   */
  async assertSequence(matches, options = {}) {
    const { strict = false } = known(options, "strict");
    const sent = { sequence: matches.map(step), strict };
    return (await this.#transport.call("post", "/debug/verify/sequence", { body: sent })).items;
  }

  /**
   * Check that nothing was accepted that was probably not meant.
   * @param {{ ignore?: readonly string[] }} [options] the rules whose hints are ignored
   */
  async assertNoHints(options = {}) {
    const { ignore = [] } = known(options, "ignore");
    if (ignore.length)
      knownRules(
        ignore,
        (await this.#transport.call("get", "/debug/rules")).items.map(({ id }) => id),
      );
    noHints(await this.events({ outcome: "any" }), ignore);
  }

  // What is set

  /**
   * Plan a misbehaviour. It lasts until it is dropped or the account is closed; with a function, while that runs.
   * @param {FaultPlan} plan
   * @param {(fault: Fault) => unknown} [block]
   */
  async fault({ name = unique("fault"), ...plan }, block) {
    await this.#transport.call("put", "/debug/faults/{name}", { path: { name }, body: body(plan) });
    const fault = new Fault(this.#transport, name);
    if (block !== undefined) await during(fault, block);
    return fault;
  }

  /**
   * Set an experiment of this account, which only revision 2026-10 has.
   * @param {string} key
   * @param {ExperimentPlan} plan
   * @returns {Promise<ExperimentState>}
   */
  async experiment(key, plan) {
    checkJson(plan, "plan");
    const path = { experiment_key: key };
    return this.#transport.call("put", "/debug/experiments/{experiment_key}", { path, body: plan });
  }

  /**
   * Remove an experiment and return what it was.
   * @param {string} key
   * @returns {Promise<ExperimentState>}
   */
  async removeExperiment(key) {
    return this.#transport.call("delete", "/debug/experiments/{experiment_key}", { path: { experiment_key: key } });
  }

  /**
   * Set the tracking plan of this account and return it. Each difference gets a hint of the rule tracking-plan.
   * @param {TrackingPlan | string} plan the plan, or the text of its file in YAML or JSON
   * @returns {Promise<TrackingPlan>}
   */
  async setTrackingPlan(plan) {
    checkJson(plan, "plan");
    return this.#transport.call("put", "/debug/tracking-plan", { body: plan });
  }

  /**
   * Remove the tracking plan of this account and return what it was.
   * @returns {Promise<TrackingPlan>}
   */
  removeTrackingPlan() {
    return this.#transport.call("delete", "/debug/tracking-plan", {});
  }

  /**
   * Delete the visitors, events and requests of this account; without an account, those of all.
   * @returns {Promise<Cleared>}
   */
  reset() {
    const what = this.account === undefined ? { all: true } : { account: this.account };
    return this.#transport.call("post", "/debug/reset", { body: what });
  }

  /** Return all requests as JSON Lines, the oldest first. @param {{ redact?: boolean }} [options] redact: without tokens and keys */
  async export(options = {}) {
    const { redact = false } = known(options, "redact");
    return this.#transport.text("get", pathOf("/debug/export", {}, redact ? { redact } : {}));
  }

  /**
   * Send exported requests again, into this account; without an account, each into its own.
   * @param {string | Uint8Array} lines
   * @returns {Promise<Imported>}
   */
  async replay(lines) {
    if (typeof lines !== "string" && !ArrayBuffer.isView(lines)) {
      throw new TypeError(`replay takes JSON Lines as text or bytes, not ${described(lines)}`);
    }
    const asked = { body: lines, type: "application/jsonl", silence: REPLAY_MS };
    return /** @type {Imported} */ (
      json("post", "/debug/import", await this.#transport.text("post", "/debug/import", asked))
    );
  }

  /**
   * Return the handle of another account of the same emulator, by default of a new one, which its `close()` deletes.
   * @param {AccountPlan} [options]
   */
  async openAccount(options = {}) {
    checkObject(options);
    const { name, clock, ...plan } = options;
    const account = name === undefined ? unique("account") : pathPart("name", name);
    const settings = { ...plan, ...(clock === undefined ? {} : { clock: { freeze: moment(clock) } }) };
    // An account that exists already keeps its settings, unless it is given others.
    if (name === undefined || Object.keys(settings).length) {
      await this.#transport.call("put", "/debug/accounts/{name}", { path: { name: account }, body: settings });
    }
    const [token, publicKey] = [plan.tokens?.[0], plan.public_keys?.[0]];
    return new Account(`${this.serverUrl}/accounts/${account}`, { token, publicKey, adminToken: this.adminToken });
  }

  /** Delete this account; requests to it are refused from now on. */
  async closeAccount() {
    const name = this.account;
    if (name === undefined) throw new EmulatorError("this handle has no account to close: it is for all accounts");
    await this.#transport.call("delete", "/debug/accounts/{name}", { path: { name } });
  }

  // How the emulator is reached

  /** Return the version of the emulator, which is healthy if it answers in time. @param {{ timeout?: number }} [options] */
  async version(options = {}) {
    const { timeout = READY_MS } = known(options, "timeout");
    checkMilliseconds("timeout", timeout);
    return this.#version(timeout);
  }

  /** Wait until the emulator answers. Throws EmulatorError if it does not in time; each try has at least a second. @param {{ timeout?: number }} [options] */
  async waitReady(options = {}) {
    const { timeout = READY_MS } = known(options, "timeout");
    checkMilliseconds("timeout", timeout);
    const end = now() + timeout;
    const left = () => Math.ceil(end - now());
    for (;;) {
      try {
        await this.#version(Math.max(left(), MIN_ANSWER_MS));
        return;
      } catch (error) {
        if (!(error instanceof EmulatorError) || left() < POLL_MS) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** @param {number} timeout milliseconds */
  async #version(timeout) {
    return (await this.#transport.call("get", "/debug/health", { timeout })).version;
  }

  /** @param {Body} sent */
  #wait(sent) {
    const silence = SILENCE_MS + (sent.timeout_ms ?? 5000) + (sent.settle_ms ?? 0);
    return this.#transport.call("post", "/debug/wait", { body: sent, silence });
  }

  /**
   * Return the items of every page, the oldest first.
   * @template {keyof Listed} P
   * @param {P} path
   * @param {object} query
   */
  async #all(path, query) {
    checkObject(query);
    /** @type {Listed[P][]} */
    const items = [];
    /** @type {string | null} */
    let cursor = null;
    do {
      const asked = { ...query, limit: PAGE, ...(cursor === null ? {} : { cursor }) };
      const answer = await this.#transport.call("get", path, { query: asked });
      const page = /** @type {Page<Listed[P]>} */ (/** @type {unknown} */ (answer));
      items.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null);
    return items.reverse();
  }
}

/** An account that was opened here: `close()` deletes it, as does the end of an `await using`. */
export class Account extends Emulator {
  #closed = false;

  /** Delete the account, unless that was done before; requests to it are refused from now on. */
  async close() {
    if (this.#closed) return;
    await this.closeAccount();
    this.#closed = true;
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }
}

/** @param {string} kind */
const unique = (kind) => `${kind}-${randomUUID().slice(-12)}`;

/** Return the last event of what is met, which has one. @param {{ last: Event | null }} met */
const only = (met) => /** @type {Event} */ (met.last);

/** @param {Fault} fault @param {(fault: Fault) => unknown} block */
async function during(fault, block) {
  try {
    await block(fault);
  } finally {
    await fault.drop();
  }
}
