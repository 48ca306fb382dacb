// What can be copied of an arrival: a curl command, an assertion, an SDK call, Markdown.
/** @import { Arrival, RequestDetail, Rule } from "types" */
import { account, base, root } from "./place.js";
import { dotted, fullTime, isObject, remarksOf, titleOf } from "./text.js";

const CLIENT = "client/";
const KEY = "OURS_PUBLIC_KEY";

/** @param {{endpoint: string}} request */
export const needsKey = ({ endpoint }) => endpoint.startsWith(CLIENT);

/**
 * The address that a request was sent to.
 * @param {{path: string}} request
 */
export const targetOf = ({ path }) =>
  new URL(`.${encodeURI(path).replaceAll("?", "%3F").replaceAll("#", "%23")}`, root);

/** @param {string} text */
export const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** @param {RequestDetail} request */
export function curl(request) {
  const lines = [`curl -sS -X ${request.method} ${quoted(String(targetOf(request)))}`];
  if (request.content_type) lines.push(`-H ${quoted(`Content-Type: ${request.content_type}`)}`);
  if (needsKey(request)) lines.push(`-H "Authorization: Bearer $${KEY}"`);
  if (request.body) lines.push(`--data-binary ${quoted(request.body)}`);
  if (!request.body_base64) return lines.join(" \\\n  ");
  if (request.content_encoding) lines.push(`-H ${quoted(`Content-Encoding: ${request.content_encoding}`)}`);
  return `echo ${request.body_base64} | base64 -d | ${[...lines, "--data-binary @-"].join(" \\\n  ")}`;
}

/**
 * An assertion that this arrival passes.
 * @param {Arrival} arrival
 */
export function assertion(arrival) {
  const { event, endpoint, outcome, reason } = arrival;
  const matching = [
    ...(event === null ? [`endpoint=${python(endpoint)}`] : [python(event)]),
    ...identifiersOf(arrival),
  ];
  if (outcome !== "accepted") matching.push(`outcome=${python(outcome)}`);
  if (reason) matching.push(`match={"reason.rule": ${python(reason.rule)}}`);
  const properties = Object.entries(arrival.event_properties).filter(([, value]) => isExact(value));
  if (properties.length) matching.push(`event_properties=${python(Object.fromEntries(properties))}`);
  return `ours_emulator.wait_for(\n${matching.map((argument) => `    ${argument},\n`).join("")})`;
}

/** @param {Arrival} arrival */
function identifiersOf({ identity }) {
  /** @type {Map<string, string>} */
  const named = new Map();
  for (const [name, value] of Object.entries(identity)) {
    const kind = snake(name.slice(name.lastIndexOf(".") + 1));
    if (!named.has(kind)) named.set(kind, `${kind}=${python(value)}`);
  }
  return [...named.values()];
}

/**
 * Whether JavaScript read a value as it was sent: it rounds large whole numbers.
 * @param {unknown} value
 * @returns {boolean}
 */
function isExact(value) {
  if (typeof value === "number") return !Number.isInteger(value) || Number.isSafeInteger(value);
  return typeof value !== "object" || value === null || Object.values(value).every(isExact);
}

const PARAMETERS = {
  track: ["client.track.event", "token event time distinct_id user_id external_id email"],
  identify: ["client.visitor.upsert", "token user_id external_id email"],
  batch: ["client.batch.create", "token events"],
};
const OBJECTS = " event_properties user_properties default_properties identity_context";

/**
 * The call of the vendor's Python SDK that sends the same; null if there is none.
 * @param {RequestDetail} request
 */
export function sdkCall(request) {
  const [method, names] = PARAMETERS[/** @type {"track"} */ (request.endpoint)] ?? [];
  const body = parsed(request.body);
  if (!method || !names || !isObject(body)) return null;
  const known = (request.endpoint === "batch" ? names : names + OBJECTS).split(" ");
  const entries = Object.entries(body).map(([name, value]) => /** @type {const} */ ([snake(name), value, name]));
  const given = entries
    .filter(([name]) => known.includes(name))
    .map(([name, value]) => `${name}=${python(rows(name, value))}`);
  const others = entries.filter(([name]) => !known.includes(name)).map(([, value, name]) => [name, value]);
  if (others.length) given.push(`extra_body=${python(Object.fromEntries(others))}`);
  const start = `from ours_privacy import OursPrivacy\n\nclient = OursPrivacy(base_url=${python(`${base}api/v1`)})\n`;
  return `${start}${method}(\n${given.map((argument) => `    ${argument},\n`).join("")})`;
}

/** @param {string} name @param {unknown} value */
function rows(name, value) {
  if (name !== "events" || !Array.isArray(value)) return value;
  return value.map((row) =>
    isObject(row) ? Object.fromEntries(Object.entries(row).map(([key, one]) => [snake(key), one])) : row,
  );
}

/**
 * What became of an arrival, to paste into an issue or a chat.
 * @param {Arrival} arrival
 * @param {RequestDetail | null} request
 * @param {readonly Rule[]} rules
 */
export function markdown(arrival, request, rules) {
  const remarks = remarksOf(arrival);
  const parts = [
    `## ${titleOf(arrival)} (#${arrival.id}): ${arrival.outcome}`,
    `Received ${fullTime(arrival.received_at)}${account === null ? ` in account ${arrival.account}` : ""} at ${arrival.endpoint}.`,
    remarks
      .map(({ rule, path, message }) => `- ${path ? `\`${dotted(path)}\`: ` : ""}${message} (rule ${rule})`)
      .join("\n"),
    [...new Set(remarks.map(({ rule }) => rule))]
      .map((id) => ruleText(id, rules))
      .filter(Boolean)
      .join("\n"),
    arrival.visitor_id === null ? "" : `Visitor: \`${arrival.visitor_id}\``,
    request?.body ? fenced(request.body) : "",
  ];
  return parts.filter(Boolean).join("\n\n");
}

/** @param {string} id @param {readonly Rule[]} rules */
function ruleText(id, rules) {
  const rule = rules.find((one) => one.id === id);
  return rule ? `> Rule ${id} (${rule.basis}, ${rule.source}): ${rule.text}` : "";
}

/** @param {string} text */
function fenced(text) {
  const longest = Math.max(2, ...Array.from(text.matchAll(/`+/g), ([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}json\n${text}\n${fence}`;
}

/** @param {string} name */
const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/**
 * A JSON value as Python writes it.
 * @param {unknown} value
 * @returns {string}
 */
export function python(value) {
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (isObject(value))
    return `{${Object.entries(value)
      .map(([key, one]) => `${python(key)}: ${python(one)}`)
      .join(", ")}}`;
  if (value === null) return "None";
  return typeof value === "boolean" ? (value ? "True" : "False") : JSON.stringify(value);
}

/** @param {string | null} text */
function parsed(text) {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return null;
  }
}
