/** @import { ClockChange, Duration, Moment, When } from "./types.js" */
/** @import { Transport } from "./transport.js" */
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
  freeze(at) {
    return this.#change({ freeze: at === undefined ? true : moment(at) });
  }

  /** Set it; it goes on from there, or stays if it is stopped. @param {When} to */
  set(to) {
    return this.#change({ set: moment(to) });
  }

  /** Advance it by milliseconds, or by parts of a time: `advance({ days: 8 })`. @param {number | Duration} time */
  async advance(time) {
    return this.#change({ advance_ms: Math.round(typeof time === "number" ? time : milliseconds(time)) });
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

/** @param {Duration} time */
function milliseconds(time) {
  const unknown = Object.keys(time).find((unit) => !(unit in UNITS));
  if (unknown !== undefined) throw new TypeError(`${unknown} is not a unit of time; use ${names(UNITS).join(", ")}`);
  return names(UNITS).reduce((sum, unit) => sum + (time[unit] ?? 0) * UNITS[unit], 0);
}

/** @template {object} T @param {T} object */
const names = (object) => /** @type {(keyof T)[]} */ (Object.keys(object));
