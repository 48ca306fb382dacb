/// <reference lib="esnext.disposable" preserve="true" />
export { Account, Emulator } from "./emulator.js";
export { EmulatorError, ExpectationError } from "./errors.js";

/** @typedef {import("./clock.js").Clock} Clock */
/** @typedef {import("./fault.js").Fault} Fault */
/** @typedef {import("./types.js").Event} Event */
/** @typedef {import("./types.js").EventDetail} EventDetail */
/** @typedef {import("./types.js").Visitor} Visitor */
/** @typedef {import("./types.js").RequestRecord} RequestRecord */
/** @typedef {import("./types.js").RequestDetail} RequestDetail */
/** @typedef {import("./types.js").NearMiss} NearMiss */
/** @typedef {import("./types.js").AccountPlan} AccountPlan */
/** @typedef {import("./types.js").FaultPlan} FaultPlan */
/** @typedef {import("./types.js").ExpectOptions} ExpectOptions */
/** @typedef {import("./types.js").WaitOptions} WaitOptions */
