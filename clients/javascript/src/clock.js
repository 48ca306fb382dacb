/** @import { ClockChange, Duration, Moment, When } from "./types.js" */
/** @import { Transport } from "./transport.js" */
import { described, isPlain } from "./given.js";
import { moment } from "./transport.js";

const UNITS = {
  weeks: 604_800_000,
  days: 86_400_000,
  hours: 3_600_000,
  minutes: 60_000,
  seconds: 1000,
  milliseconds: 1,
};

/** The clock of an account: what "now" is for it. */
export class Clock {
  #transport;

  /** @param {Transport} transport */
  constructor(transport) {
    this.#transport = transport;
  }

  /** Return its time. */
  async now() {
    return new Date((await this.#transport.call("get", "/debug/clock")).now_ms);
  }

  /** Stop it, at a moment or where it is. @param {When} [at] */
  async freeze(at) {
    return this.#change({ freeze: at === undefined ? true : told(at) });
  }

  /** Set it; it goes on from there, or stays if it is stopped. @param {When} to */
  async set(to) {
    return this.#change({ set: told(to) });
  }

  /** Advance it by milliseconds, or by parts of a time: `advance({ days: 8 })`. @param {number | Duration} time */
  async advance(time) {
    const step = milliseconds(typeof time === "number" ? { milliseconds: time } : time);
    return this.#change({ advance_ms: Math.round(step) });
  }

  /** Let it tell the real time again. */
  resume() {
    return this.#change({ resume: true });
  }

  /** @param {ClockChange} body @returns {Promise<Moment>} */
  #change(body) {
    return this.#transport.call("put", "/debug/clock", { body });
  }
}

/** Return a time as the debug API reads it. Throws TypeError for what is none. @param {When} when */
function told(when) {
  if (typeof when === "string" || typeof when === "number" || when instanceof Date) return moment(when);
  throw new TypeError(`the time is ${described(when)}; use a Date, ISO 8601 or milliseconds`);
}

/** Return a length of time. Throws TypeError for what is none. @param {Duration} time */
function milliseconds(time) {
  if (!isPlain(time))
    throw new TypeError(`the time is ${described(time)}; use milliseconds, or parts like { days: 8 }`);
  return Object.entries(time).reduce((sum, [unit, value]) => sum + part(unit, value), 0);
}

/** @param {string} unit @param {unknown} value */
function part(unit, value) {
  if (!Object.hasOwn(UNITS, unit)) {
    throw new TypeError(`${unit} is not a unit of time; use ${Object.keys(UNITS).join(", ")}`);
  }
  const time = typeof value === "number" ? value * UNITS[/** @type {keyof Duration} */ (unit)] : NaN;
  if (!Number.isFinite(time)) throw new TypeError(`${unit} is ${described(value)}; use a finite number`);
  return time;
}
