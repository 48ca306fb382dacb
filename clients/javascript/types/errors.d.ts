/** The emulator cannot be reached, or refused an operation of the debug API; the message says why. */
export class EmulatorError extends ClientError {
    /**
     * @param {string} message
     * @param {number} [status] the HTTP status of a refusal; undefined if there was no answer
     * @param {string} [reason] what the emulator itself says of it, without the operation
     */
    constructor(message: string, status?: number, reason?: string);
    status: number | undefined;
    reason: string | undefined;
}
/** What arrived is not what was expected. The message explains it; its parts are here as values. */
export class ExpectationError extends ClientError {
    /**
     * @param {string} message
     * @param {readonly NearMiss[]} [candidates]
     * @param {readonly NearMiss[]} [nearMisses]
     */
    constructor(message: string, candidates?: readonly NearMiss[], nearMisses?: readonly NearMiss[]);
    /** Events that match but were rejected, dropped or duplicates, or that may match, as far as is known. */
    get candidates(): readonly NearMiss[];
    /** Events that differ in some fields, the best one first. */
    get nearMisses(): readonly NearMiss[];
    #private;
}
/** An error whose stack begins where the client was called, which is the line that test runners show. */
declare class ClientError extends Error {
    /** @param {string} message */
    constructor(message: string);
    stack: string;
}
import type { NearMiss } from "./types.js";
export {};
