/// <reference lib="esnext.disposable" preserve="true" />
export type Clock = import("./clock.js").Clock;
export type Fault = import("./fault.js").Fault;
export type Event = import("./types.js").Event;
export type EventDetail = import("./types.js").EventDetail;
export type Visitor = import("./types.js").Visitor;
export type RequestRecord = import("./types.js").RequestRecord;
export type RequestDetail = import("./types.js").RequestDetail;
export type NearMiss = import("./types.js").NearMiss;
export type AccountPlan = import("./types.js").AccountPlan;
export type FaultPlan = import("./types.js").FaultPlan;
export type ExpectOptions = import("./types.js").ExpectOptions;
export type WaitOptions = import("./types.js").WaitOptions;
export { Account, Emulator } from "./emulator.js";
export { EmulatorError, ExpectationError } from "./errors.js";
