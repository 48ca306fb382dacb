/** The clock of an account: what "now" is for it. */
export class Clock {
    /** @param {Transport} transport */
    constructor(transport: Transport);
    /** Return its time. */
    now(): Promise<Date>;
    /** Stop it, at a moment or where it is. @param {When} [at] */
    freeze(at?: When): Promise<Moment>;
    /** Set it; it goes on from there, or stays if it is stopped. @param {When} to */
    set(to: When): Promise<Moment>;
    /** Advance it by milliseconds, or by parts of a time: `advance({ days: 8 })`. @param {number | Duration} time */
    advance(time: number | Duration): Promise<Moment>;
    /** Let it tell the real time again. */
    resume(): Promise<Moment>;
    #private;
}
import type { When } from "./types.js";
import type { Moment } from "./types.js";
import type { Duration } from "./types.js";
import type { Transport } from "./transport.js";
