/**
 * Return a fault as the debug API reads it: what it matches and what it answers are objects of their own.
 * @param {FaultPlan} plan
 * @returns {FaultBody}
 */
export function body(plan: FaultPlan): FaultBody;
/** A planned misbehaviour, with its name. It ends when it is dropped, or with its account. */
export class Fault {
    /** @param {Transport} transport @param {string} name */
    constructor(transport: Transport, name: string);
    name: string;
    /** Return how many requests were hit so far. */
    hits(): Promise<number>;
    /** End the fault, unless it is over. */
    drop(): Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
    #private;
}
import type { FaultPlan } from "./types.js";
import type { FaultBody } from "./types.js";
import type { Transport } from "./transport.js";
