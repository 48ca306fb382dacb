// The calls of the debug API: what each takes and returns. The emulator's page is checked against the same types.
import type { paths } from "../types/api.js";

export type Method = "get" | "post" | "put" | "patch" | "delete";
export type PathOf<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, object> ? P : never;
}[keyof paths];
type Operation<M extends Method, P> = P extends keyof paths ? NonNullable<paths[P][M]> : never;
type Part<T, K extends string> = T extends { [key in K]?: infer V } ? V : never;
type Parameters<M extends Method, P> = Part<Operation<M, P>, "parameters">;
export type Query<M extends Method, P> = NonNullable<Part<Parameters<M, P>, "query">>;

/** What a call may say: parts of its path, parameters of its query, its body. */
export interface Call<M extends Method, P> {
  path?: NonNullable<Part<Parameters<M, P>, "path">>;
  query?: Query<M, P>;
  body?: Operation<M, P> extends { requestBody?: { content: { "application/json": infer B } } } ? B : never;
}

/** The answer to a call that succeeds. */
export type Answer<M extends Method, P> =
  Operation<M, P> extends { responses: { 200: { content: { "application/json": infer T } } } } ? T : never;
