// The types of library.js, for tsc only.
import type { VNode } from "preact";

export { Fragment, options, render } from "preact";
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
export type { ComponentChildren, VNode } from "preact";
export declare function html(strings: TemplateStringsArray, ...values: unknown[]): VNode;
