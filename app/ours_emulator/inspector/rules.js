// The rules of the contract, asked for once.
/** @import { Rule } from "types" */
import { get } from "./api.js";

/** @type {Promise<readonly Rule[]> | null} */
let asked = null;

/** @returns {Promise<readonly Rule[]>} */
export function loadRules() {
  asked ??= get("/debug/rules").then(({ items }) => items);
  asked.catch(() => {
    asked = null;
  });
  return asked;
}
