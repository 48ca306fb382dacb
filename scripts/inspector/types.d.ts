// The debug API as the page uses it. Everything is derived from its own OpenAPI document.
import type { components } from "../../clients/javascript/types/api";
import type { Call, Method } from "../../clients/javascript/types/calls";

export type { Answer, Method, PathOf } from "../../clients/javascript/types/calls";

type Schemas = components["schemas"];

export type Outcome = Schemas["Event"]["outcome"];
export type Arrival = Required<Schemas["Event"]>;
export type EventDetail = Required<Schemas["EventDetail"]>;
export type VisitorChange = Required<Schemas["VisitorChange"]>;
export type Hint = Required<Schemas["Hint"]>;
export type Reason = Required<Schemas["Reason"]>;
export type Resolution = Required<Schemas["Resolution"]>;
export type RequestRecord = Required<Schemas["RequestRecord"]>;
export type RequestDetail = Required<Schemas["RequestDetail"]>;
export type FaultState = Schemas["FaultState"];
export type Rule = Schemas["Rule"];
export type RuleCount = Required<Schemas["RuleCount"]>;
export type Summary = Required<Schemas["Summary"]>;
export type AccountState = Schemas["AccountState"];
export type NearMiss = Schemas["NearMiss"];
export type Unmet = Required<Schemas["Unmet"]>;
export type Visitor = Required<Schemas["Visitor"]>;

/** What a call may say: parts of its path, parameters of its query, its body. */
export interface Asked<M extends Method, P> extends Call<M, P> {
  signal?: AbortSignal;
}
