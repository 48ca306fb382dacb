// Everything the page needs from others, bundled into one file.
import { h } from "preact";
import htm from "htm";

export { Fragment, options, render } from "preact";
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
export const html = htm.bind(h);
