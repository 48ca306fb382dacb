/** @import { FaultBody, FaultPlan } from "./types.js" */
/** @import { Transport } from "./transport.js" */
import { EmulatorError } from "./errors.js";
import { checkJson } from "./given.js";

const MATCH = ["path", "event", "token", "distinct_id"];
const ANSWER = ["status", "retry_after", "error", "delay_ms", "connection", "rows", "code", "stored"];
/** How the debug API answers when there is no such thing, or its account is closed. */
const GONE = [404, 409];

/** A planned misbehaviour, with its name. It ends when it is dropped, or with its account. */
export class Fault {
  #transport;
  #hits = 0;
  #over = false;

  /** @param {Transport} transport @param {string} name */
  constructor(transport, name) {
    this.#transport = transport;
    this.name = name;
  }

  /** Return how many requests were hit so far. */
  async hits() {
    await this.#look("get");
    return this.#hits;
  }

  /** End the fault, unless it is over. */
  async drop() {
    await this.#look("delete");
    this.#over = true;
  }

  async [Symbol.asyncDispose]() {
    await this.drop();
  }

  /** Note the hits, unless the fault is over: a reset, or the end of the account, also ends it. @param {"get" | "delete"} method */
  async #look(method) {
    if (this.#over) return;
    try {
      this.#hits = (await this.#transport.call(method, "/debug/faults/{name}", { path: { name: this.name } })).hits;
    } catch (error) {
      if (!(error instanceof EmulatorError && GONE.includes(error.status ?? 0))) throw error;
      this.#over = true;
    }
  }
}

/**
 * Return a fault as the debug API reads it: what it matches and what it answers are objects of their own.
 * @param {FaultPlan} plan
 * @returns {FaultBody}
 */
export function body(plan) {
  checkJson(plan, "");
  const match = part(plan, (name) => MATCH.includes(name));
  const answer = part(plan, (name) => ANSWER.includes(name));
  const rest = part(plan, (name) => !MATCH.includes(name) && !ANSWER.includes(name));
  return { ...rest, ...whole("match", match), ...whole("answer", answer) };
}

/** @param {object} plan @param {(name: string) => boolean} belongs */
const part = (plan, belongs) => Object.fromEntries(Object.entries(plan).filter(([name]) => belongs(name)));

/** @param {string} name @param {object} fields */
const whole = (name, fields) => (Object.keys(fields).length ? { [name]: fields } : {});
