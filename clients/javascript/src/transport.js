// How one call of the debug API is sent and its answer read.
/** @import { Method, PathOf } from "./calls.js" */
/** @import { Answered, Asked, Sent, Unmet } from "./types.js" */
import http from "node:http";
import https from "node:https";
import { text as textOf } from "node:stream/consumers";
import { EmulatorError, ExpectationError } from "./errors.js";
import { checkJson, described, isPlain, pathPart } from "./given.js";

// Taken when the module is loaded: tests replace fetch and these, and that must not reach the client.
const { request: requestHttp } = http;
const { request: requestHttps } = https;
const { setTimeout, clearTimeout } = globalThis;
const SILENCE_MS = 30_000;
/** With a longer time, a timer of Node.js ends at once. */
const MAX_MS = 2 ** 31 - 1;
const NOT_ACCEPTABLE = 406;
/** @type {{ [path: string]: string[] }} What the client reads of the answers, so that no other server is taken for an emulator. */
const ANSWERED = {
  "/debug/health": ["status", "version", "revision"],
  "/debug/summary": ["newest_event", "outcomes"],
  "/debug/rules/counts": ["items"],
  "/debug/rules": ["items"],
  "/debug/events": ["items", "next_cursor"],
  "/debug/visitors": ["items", "next_cursor"],
  "/debug/requests": ["items", "next_cursor"],
  "/debug/events/{event_id}": ["id", "outcome"],
  "/debug/requests/{request_id}": ["id", "status"],
  "/debug/wait": ["items", "last"],
  "/debug/verify": ["items", "last"],
  "/debug/verify/sequence": ["items"],
  "/debug/faults/{name}": ["hits"],
  "/debug/experiments/{experiment_key}": ["key"],
  "/debug/tracking-plan": ["events"],
  "/debug/accounts/{name}": ["account"],
  "/debug/clock": ["now_ms"],
  "/debug/reset": ["requests"],
  "/debug/import": ["imported"],
};

/** Sends calls to the debug API of an emulator, or of one account of it. */
export class Transport {
  /**
   * @param {string} server the address of the emulator
   * @param {string} url the same, or that of the account
   * @param {string | undefined} adminToken
   * @param {string} advice what to do if no emulator answers
   */
  constructor(server, url, adminToken, advice) {
    this.server = server;
    this.url = url;
    this.adminToken = adminToken;
    this.advice = advice;
  }

  /**
   * Send a call and return the JSON of its answer.
   * @template {Method} M
   * @template {PathOf<M>} P
   * @param {M} method
   * @param {P} path as the OpenAPI document has it: `/debug/events/{event_id}`
   * @param {Asked<M, P>} [asked]
   * @returns {Promise<Answered<M, P>>}
   */
  async call(method, path, asked = {}) {
    const filled = pathOf(path, asked.path, asked.query);
    const body = asked.body === undefined ? {} : { body: bodyOf(asked.body) };
    const text = await this.text(method, filled, { ...body, silence: asked.silence, timeout: asked.timeout });
    return /** @type {Answered<M, P>} */ (json(method, path, text));
  }

  /**
   * Send a call and return the text of its answer. Throws unless it succeeds.
   * @param {string} method
   * @param {string} path
   * @param {Sent} [sent]
   */
  async text(method, path, sent = {}) {
    // Accounts belong to the server: a closed one refuses everything under its own prefix.
    const base = path.startsWith("/debug/accounts/") ? this.server : this.url;
    const { status, text } = await this.#exchanged(method, base + path, sent);
    if (status >= 300) throw refusal(method, path, status, text);
    return text;
  }

  /** Throw EmulatorError if the emulator cannot be reached. @param {string} method @param {string} url @param {Sent} sent */
  async #exchanged(method, url, sent) {
    try {
      return await exchange(method, url, { ...sent, adminToken: this.adminToken });
    } catch (error) {
      throw new EmulatorError(`no emulator answers at ${this.server}: ${why(error)}${this.advice}`);
    }
  }
}

/**
 * Send a request, on a connection of its own, and return its answer.
 * @param {string} method
 * @param {string} url
 * @param {Sent & { adminToken: string | undefined }} sent
 * @returns {Promise<{ status: number, text: string }>}
 */
function exchange(
  method,
  url,
  { body, type = "application/json", timeout, silence = timeout === undefined ? SILENCE_MS : MAX_MS, adminToken },
) {
  const headers = {
    ...(body === undefined ? {} : { "content-type": type }),
    ...(adminToken === undefined ? {} : { authorization: `Bearer ${adminToken}` }),
  };
  const start = url.startsWith("https:") ? requestHttps : requestHttp;
  const limit = Math.min(silence, MAX_MS);
  return new Promise((resolve, reject) => {
    const request = start(url, { method: method.toUpperCase(), headers, agent: false, timeout: limit });
    /** @param {string} why */
    const giveUp = (why) => {
      // First: once its answer has begun, a destroyed request only says that it was aborted.
      reject(new Error(why));
      request.destroy();
    };
    request.on("timeout", () => giveUp(`it is silent for ${limit / 1000} s`));
    if (timeout !== undefined) {
      const timer = setTimeout(giveUp, Math.min(timeout, MAX_MS), `no answer within ${timeout / 1000} s`);
      request.on("close", () => clearTimeout(timer));
    }
    request.on("error", reject);
    // An answer that switches protocols is none, and closes the connection without an error.
    request.on("upgrade", (response) => giveUp(`it answered ${response.statusCode}`));
    request.on("response", (response) => {
      textOf(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject);
    });
    request.end(body);
  });
}

/**
 * Return a body as JSON. Throws TypeError for what JSON does not have; only an option may be undefined.
 * @param {unknown} body
 */
export function bodyOf(body) {
  const given = isPlain(body) ? Object.entries(body) : [];
  given.filter(([, value]) => value !== undefined).forEach(([name, value]) => checkJson(value, name));
  return JSON.stringify(body);
}

/**
 * Return a path of the API with its parts filled in and its query.
 * @param {string} path
 * @param {object} [parts]
 * @param {object} [query]
 */
export function pathOf(path, parts = {}, query = {}) {
  const filled = Object.entries(parts).reduce(
    (text, [name, value]) => text.replace(`{${name}}`, () => pathPart(name, value)),
    path,
  );
  const asked = Object.fromEntries(Object.entries(query).map(([name, value]) => [name, filter(name, value)]));
  const search = String(new URLSearchParams(asked));
  return search ? `${filled}?${search}` : filled;
}

/** Return a filter of a list as text. Throws TypeError for what is none: without it everything would be listed. @param {string} name @param {unknown} value */
function filter(name, value) {
  checkJson(value, name);
  const text = moment(value);
  if (typeof text === "object")
    throw new TypeError(`${name} is ${described(value)}; use text, a number or a Date, or omit it`);
  return String(text);
}

/**
 * Return a time as the debug API reads it. Throws TypeError for what is none.
 * @template T
 * @param {T} when
 * @returns {string | Exclude<T, Date>}
 */
export function moment(when) {
  checkJson(when, "the time");
  return when instanceof Date ? when.toISOString() : /** @type {Exclude<T, Date>} */ (when);
}

/**
 * Return the JSON of an answer. Throws EmulatorError if it has not what an emulator answers to this call.
 * @param {string} method
 * @param {string} path
 * @param {string} text
 */
export function json(method, path, text) {
  const answer = object(text);
  if ((ANSWERED[path] ?? []).every((name) => Object.hasOwn(answer, name))) return answer;
  throw new EmulatorError(`${named(method, path)} got an answer that is not an emulator's: ${text.slice(0, 200)}`);
}

/** @param {string} method @param {string} path @param {number} status @param {string} text */
function refusal(method, path, status, text) {
  const answer = object(text);
  if (status === NOT_ACCEPTABLE && "found" in answer) return unmet(/** @type {Unmet} */ (answer));
  const reason = typeof answer.error === "string" ? answer.error : undefined;
  return new EmulatorError(
    `${named(method, path)} was answered ${status}: ${reason ?? text.slice(0, 200)}`,
    status,
    reason,
  );
}

/** @param {Unmet} answer */
const unmet = (answer) =>
  new ExpectationError(answer.explanation || answer.error, answer.candidates, answer.near_misses);

/** @param {string} method @param {string} path */
const named = (method, path) => `${method.toUpperCase()} ${path.split("?")[0]}`;

/** @param {string} text @returns {Record<string, unknown>} */
function object(text) {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}

/** Return why a request failed: that of a name with several addresses failed for each of them. @param {unknown} error */
function why(error) {
  const { message, errors } = /** @type {AggregateError} */ (error);
  return message || /** @type {Error[] | undefined} */ (errors)?.[0]?.message || String(error);
}
