/**
 * Return a body as JSON. Throws TypeError for what JSON does not have; only an option may be undefined.
 * @param {unknown} body
 */
export function bodyOf(body: unknown): string;
/**
 * Return a path of the API with its parts filled in and its query.
 * @param {string} path
 * @param {object} [parts]
 * @param {object} [query]
 */
export function pathOf(path: string, parts?: object, query?: object): string;
/**
 * Return a time as the debug API reads it. Throws TypeError for what is none.
 * @template T
 * @param {T} when
 * @returns {string | Exclude<T, Date>}
 */
export function moment<T>(when: T): string | Exclude<T, Date>;
/**
 * Return the JSON of an answer. Throws EmulatorError if it has not what an emulator answers to this call.
 * @param {string} method
 * @param {string} path
 * @param {string} text
 */
export function json(method: string, path: string, text: string): Record<string, unknown>;
/** Sends calls to the debug API of an emulator, or of one account of it. */
export class Transport {
    /**
     * @param {string} server the address of the emulator
     * @param {string} url the same, or that of the account
     * @param {string | undefined} adminToken
     * @param {string} advice what to do if no emulator answers
     */
    constructor(server: string, url: string, adminToken: string | undefined, advice: string);
    server: string;
    url: string;
    adminToken: string | undefined;
    advice: string;
    /**
     * Send a call and return the JSON of its answer.
     * @template {Method} M
     * @template {PathOf<M>} P
     * @param {M} method
     * @param {P} path as the OpenAPI document has it: `/debug/events/{event_id}`
     * @param {Asked<M, P>} [asked]
     * @returns {Promise<Answered<M, P>>}
     */
    call<M extends Method, P extends PathOf<M>>(method: M, path: P, asked?: Asked<M, P>): Promise<Answered<M, P>>;
    /**
     * Send a call and return the text of its answer. Throws unless it succeeds.
     * @param {string} method
     * @param {string} path
     * @param {Sent} [sent]
     */
    text(method: string, path: string, sent?: Sent): Promise<string>;
    #private;
}
import type { Method } from "./calls.js";
import type { PathOf } from "./calls.js";
import type { Asked } from "./types.js";
import type { Answered } from "./types.js";
import type { Sent } from "./types.js";
