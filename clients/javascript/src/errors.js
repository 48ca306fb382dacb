/** @import { NearMiss } from "./types.js" */
import { fileURLToPath } from "node:url";

const HERE = new URL(".", import.meta.url).href;
const FOLDER = fileURLToPath(HERE);

/** An error whose stack begins where the client was called, which is the line that test runners show. */
class ClientError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = new.target.name;
    const lines = (this.stack ?? "").replace(/^\w*Error/, this.name).split("\n");
    this.stack = lines.filter((line) => !isInside(line)).join("\n");
  }
}

/** Whether a line of a stack is a place in the client, or in Node.js below it. @param {string} line */
const isInside = (line) =>
  /^ +at /.test(line) && [HERE, FOLDER, "node:internal/"].some((place) => line.includes(place));

/** The emulator cannot be reached, or refused an operation of the debug API; the message says why. */
export class EmulatorError extends ClientError {
  /**
   * @param {string} message
   * @param {number} [status] the HTTP status of a refusal; undefined if there was no answer
   * @param {string} [reason] what the emulator itself says of it, without the operation
   */
  constructor(message, status, reason) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

/** What arrived is not what was expected. The message explains it; its parts are here as values. */
export class ExpectationError extends ClientError {
  // Private, because test runners print the public properties of an error below its message.
  /** @type {readonly NearMiss[]} */
  #candidates;
  /** @type {readonly NearMiss[]} */
  #nearMisses;

  /**
   * @param {string} message
   * @param {readonly NearMiss[]} [candidates]
   * @param {readonly NearMiss[]} [nearMisses]
   */
  constructor(message, candidates = [], nearMisses = []) {
    super(message);
    this.#candidates = candidates;
    this.#nearMisses = nearMisses;
  }

  /** Events that match but were rejected, dropped or duplicates, or that may match, as far as is known. */
  get candidates() {
    return this.#candidates;
  }

  /** Events that differ in some fields, the best one first. */
  get nearMisses() {
    return this.#nearMisses;
  }
}
