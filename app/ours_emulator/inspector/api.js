// The debug API, the only thing the page knows of the emulator.
/** @import { Answer, Asked, Method, PathOf } from "types" */
import { encoded } from "./percent.js";
import { base } from "./place.js";
import { answerOf, report } from "./report.js";
import { Store } from "./store.js";

const TOKEN = "ours-emulator-admin-token";
/** Whether the emulator asks for its admin token. */
export const locked = new Store(false);

/** What the emulator answered instead of what was asked for. */
export class ApiError extends Error {
  /** @param {number} status @param {string} text the body of the answer */
  constructor(status, text) {
    super(explanation(status, text));
    this.status = status;
    this.text = text;
  }
}

/** @template {PathOf<"get">} P @param {P} path @param {Asked<"get", P>} [asked] */
export const get = (path, asked) => call("get", path, asked ?? {});
/** @template {PathOf<"post">} P @param {P} path @param {Asked<"post", P>} asked */
export const post = (path, asked) => call("post", path, asked);
/** @template {PathOf<"put">} P @param {P} path @param {Asked<"put", P>} asked */
export const put = (path, asked) => call("put", path, asked);
/** @template {PathOf<"patch">} P @param {P} path @param {Asked<"patch", P>} asked */
export const patch = (path, asked) => call("patch", path, asked);
/** @template {PathOf<"delete">} P @param {P} path @param {Asked<"delete", P>} asked */
export const remove = (path, asked) => call("delete", path, asked);

/**
 * @template {Method} M
 * @template {PathOf<M>} P
 * @param {M} method
 * @param {P} path
 * @param {Asked<M, P>} asked
 * @returns {Promise<Answer<M, P>>}
 */
async function call(method, path, asked) {
  const { body, signal } = asked;
  if (report) return fromReport(report, path, asked);
  const response = await send(urlOf(path, asked.path, asked.query), {
    method: method.toUpperCase(),
    ...(signal ? { signal } : {}),
    ...(body === undefined
      ? {}
      : {
          body: JSON.stringify(body),
          headers: { "Content-Type": "application/json" },
        }),
  });
  return response.json();
}

/**
 * What the report has of it.
 * @template {Method} M
 * @template {PathOf<M>} P
 * @param {import("./report.js").Report} from
 * @param {P} path
 * @param {Asked<M, P>} asked
 * @returns {Answer<M, P>}
 */
function fromReport(from, path, asked) {
  const found = answerOf(from, path, { ...asked.path, ...asked.query });
  if (found === undefined) throw new ApiError(404, "This is not in the report.");
  return /** @type {Answer<M, P>} */ (found);
}

/**
 * Send a request to the debug API, with the admin token if there is one. Throws ApiError unless it succeeds.
 * @param {URL} url
 * @param {RequestInit} options
 */
export async function send(url, options) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = new Headers(options.headers);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  const response = await fetch(url, { ...options, headers, cache: "no-store" });
  if (response.status === 401) locked.set(true);
  if (!response.ok) throw new ApiError(response.status, await response.text());
  return response;
}

export const hasToken = () => sessionStorage.getItem(TOKEN) !== null;

/** @param {string} token */
export function unlock(token) {
  sessionStorage.setItem(TOKEN, token);
  locked.set(false);
}

/**
 * @param {string} path as the API's document has it: `/debug/events/{event_id}`
 * @param {object} [parts]
 * @param {object} [query]
 */
export function urlOf(path, parts = {}, query = {}) {
  const dots = Object.values(parts).find((value) => value === "." || value === "..");
  if (dots !== undefined) throw new ApiError(404, `“${dots}” cannot stand in an address; see the events with this id.`);
  const filled = Object.entries(parts).reduce((text, [name, value]) => text.replace(`{${name}}`, encoded(value)), path);
  const asked = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  const search = asked.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join("&");
  return new URL(`.${filled}${search && `?${search}`}`, base);
}

/** @param {number} status @param {string} text */
function explanation(status, text) {
  try {
    return String(JSON.parse(text).error);
  } catch {
    return text || `the emulator answered ${status}`;
  }
}

export const UNREACHABLE = "The emulator cannot be reached.";
/** @param {unknown} error */
export const messageOf = (error) =>
  error instanceof TypeError ? UNREACHABLE : error instanceof Error ? error.message : String(error);
