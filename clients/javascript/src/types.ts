// What the client takes and returns. Everything is derived from the OpenAPI document of the debug API.
import type { components } from "../types/api.js";
import type { Answer, Call, Method, Query } from "./calls.js";

type Schemas = components["schemas"];

/** How long an emulator may take, in milliseconds: `silence` without sending anything, `timeout` until its answer is complete. */
export interface Patience {
  silence?: number | undefined;
  timeout?: number | undefined;
}

/** What a request sends. */
export interface Sent extends Patience {
  body?: string | Uint8Array;
  type?: string;
}

/** What a call says. A time in its query may be a Date. */
export type Asked<M extends Method, P> = Omit<Call<M, P>, "query"> & { query?: object } & Patience;

// What the emulator returns. Only the body of a request may leave out what has a default; answers have everything.

type Complete<T> = { [K in keyof T]-?: Complete<T[K]> };
/** The answer to a call that succeeds. */
export type Answered<M extends Method, P> = Complete<Answer<M, P>>;

export interface Event extends Complete<Schemas["Event"]> {}
export interface EventDetail extends Complete<Schemas["EventDetail"]> {}
export interface Visitor extends Complete<Schemas["Visitor"]> {}
export interface RequestRecord extends Complete<Schemas["RequestRecord"]> {}
export interface RequestDetail extends Complete<Schemas["RequestDetail"]> {}
export interface Hint extends Complete<Schemas["Hint"]> {}
export interface NearMiss extends Complete<Schemas["NearMiss"]> {}
export interface Unmet extends Complete<Schemas["Unmet"]> {}
export interface Summary extends Complete<Schemas["Summary"]> {}
export interface RuleCount extends Complete<Schemas["RuleCount"]> {}
export interface Moment extends Complete<Schemas["Moment"]> {}
export interface Cleared extends Complete<Schemas["Cleared"]> {}
export interface Imported extends Complete<Schemas["Imported"]> {}
export interface ExperimentState extends Complete<Schemas["ExperimentState"]> {}
export type FaultBody = Schemas["FaultBody"];
export type ClockChange = Schemas["ClockBody"];

// What is expected. Names with an underscore are the debug API's.

/** A moment: a Date, ISO 8601, or milliseconds since the epoch. */
export type When = Date | string | number;
/** A value, or operators of the match grammar: `{ $regex: "@example.com$" }`. */
export type FieldMatch = string | number | boolean | null | { [name: string]: unknown };
export type Outcome = Event["outcome"] | "any";

/** Which events: fields of an event by their names, and anything else in `match`. */
export interface Condition {
  event?: FieldMatch;
  email?: FieldMatch;
  external_id?: FieldMatch;
  user_id?: FieldMatch;
  anonymous_id?: FieldMatch;
  visitor_id?: FieldMatch;
  distinct_id?: FieldMatch;
  endpoint?: FieldMatch;
  test?: boolean;
  event_properties?: { [name: string]: unknown };
  default_properties?: { [name: string]: unknown };
  visitor_properties?: { [name: string]: unknown };
  /** Any field with dots and operators: `{ "event_properties.amount": { $gt: 50 } }`. */
  match?: { [path: string]: unknown };
  /** By default accepted events. */
  outcome?: Outcome;
}

export interface CountedCondition extends Condition {
  count?: number;
}

export interface WaitOptions extends CountedCondition {
  /** How long to wait, in milliseconds; 5000 by default. */
  timeout?: number;
}

export interface ExpectOptions extends WaitOptions {
  mode?: "at_least" | "exactly" | "at_most" | "none";
  /** For how many milliseconds no further event may match; for the modes `exactly`, `at_most` and `none`. */
  settle?: number;
}

/** The name of an event, which may be left out, and what else is said of it. A name is never undefined. */
export type Given<Options> = [] | [options: Options] | [event: string, options?: Options];

/** Options with the name of the event, or filters: what they have in common. */
export type Named = ExpectOptions & { [field: string]: unknown };

/** A condition as the debug API reads it. */
export type Body = Schemas["VerifyBody"] & Partial<Pick<Schemas["WaitBody"], "timeout_ms" | "settle_ms">>;

/** The events that arrived during the block of `expect`. */
export interface Arrived {
  /** The last one; undefined if none was expected. */
  event: Event | undefined;
  /** All of them, the first to arrive first, but at most 1000. */
  events: Event[];
}

// What is listed

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

/** The lists of the debug API that have pages. */
export interface Listed {
  "/debug/events": Event;
  "/debug/visitors": Visitor;
  "/debug/requests": RequestRecord;
}

type Filters<P> = Omit<Query<"get", P>, "account" | "limit" | "cursor" | "outcome" | "since">;
export type EventFilters = Filters<"/debug/events"> & {
  outcome?: Outcome;
  since?: When;
  [property: `property.${string}`]: string | number | boolean;
};
export type VisitorFilters = Filters<"/debug/visitors">;
export type RequestFilters = Filters<"/debug/requests"> & { since?: When };

// What is set

/** Parts of a length of time. */
export interface Duration {
  weeks?: number;
  days?: number;
  hours?: number;
  minutes?: number;
  seconds?: number;
  milliseconds?: number;
}

/** Which requests misbehave, how, and how often: the fields of `match` and `answer` stand beside the others. */
export type FaultPlan = { name?: string } & Schemas["MatchBody"] &
  Schemas["AnswerBody"] &
  Omit<FaultBody, "match" | "answer">;
export type ExperimentPlan = Schemas["Experiment"];

/** What events and visitors should have, each as a JSON Schema. */
export type TrackingPlan = Schemas["TrackingPlan"];

/** What an account accepts; what is absent is as the server was started. With `clock`, its clock is stopped then. */
export type AccountPlan = { name?: string; clock?: When } & Omit<Schemas["AccountBody"], "clock">;

export interface HandleOptions {
  /** What your app sends; any token will do, unless the account has a list. */
  token?: string | undefined;
  /** The same for the Client API. */
  publicKey?: string | undefined;
  /** What the debug API asks for, if it does; by default OURS_EMULATOR_ADMIN_TOKEN. */
  adminToken?: string | undefined;
}
