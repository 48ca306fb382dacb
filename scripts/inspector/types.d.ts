// The debug API as the page uses it. Everything is derived from its own OpenAPI document.
import type { components, paths } from "./api";

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

export type Method = "get" | "post" | "put" | "patch" | "delete";
export type PathOf<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, object> ? P : never;
}[keyof paths];
type Operation<M extends Method, P> = P extends keyof paths ? NonNullable<paths[P][M]> : never;
type Part<T, K extends string> = T extends { [key in K]?: infer V } ? V : never;
type Parameters<M extends Method, P> = Part<Operation<M, P>, "parameters">;

/** What a call may say: parts of its path, parameters of its query, its body. */
export interface Asked<M extends Method, P> {
  path?: NonNullable<Part<Parameters<M, P>, "path">>;
  query?: NonNullable<Part<Parameters<M, P>, "query">>;
  body?: Operation<M, P> extends { requestBody?: { content: { "application/json": infer B } } } ? B : never;
  signal?: AbortSignal;
}

/** The answer to a call that succeeds. */
export type Answer<M extends Method, P> =
  Operation<M, P> extends { responses: { 200: { content: { "application/json": infer T } } } } ? T : never;
