// The bars: how many arrivals of which outcome there were in each stretch of time.
/** @import { Outcome } from "types" */
import { OUTCOMES } from "./parts.js";
import { clockTime, plural } from "./text.js";

const MOST = 48;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const WIDTHS = [
  100,
  250,
  500,
  1000,
  2000,
  5000,
  10_000,
  30_000,
  MINUTE,
  2 * MINUTE,
  5 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  HOUR,
  3 * HOUR,
  12 * HOUR,
];

/** @typedef {{from: number, counts: Record<Outcome, number>, total: number, label: string}} Bucket */

/**
 * @param {readonly {received_at: string, outcome: Outcome}[]} rows
 * @returns {Bucket[]}
 */
export function buckets(rows) {
  const moments = rows.map(({ received_at }) => Date.parse(received_at));
  if (!moments.length) return [];
  const [first, last] = [Math.min(...moments), Math.max(...moments)];
  const width = WIDTHS.find((one) => last / one - first / one < MOST - 1) ?? (last - first) / (MOST - 1);
  const start = Math.floor(first / width);
  const found = Array.from({ length: Math.floor(last / width) - start + 1 }, (_, index) =>
    empty((start + index) * width),
  );
  rows.forEach(({ outcome }, index) => {
    const bucket = found[Math.floor((moments[index] ?? 0) / width) - start];
    if (bucket) bucket.counts[outcome] += 1;
  });
  return found.map((bucket) => labelled(bucket, width));
}

/** @param {number} from @returns {Bucket} */
const empty = (from) => ({ from, counts: { accepted: 0, duplicate: 0, dropped: 0, rejected: 0 }, total: 0, label: "" });

/** @param {Bucket} bucket @param {number} width @returns {Bucket} */
function labelled(bucket, width) {
  const total = OUTCOMES.reduce((sum, outcome) => sum + bucket.counts[outcome], 0);
  const parts = OUTCOMES.filter((outcome) => bucket.counts[outcome]).map(
    (outcome) => `${bucket.counts[outcome]} ${outcome}`,
  );
  const label = `${clockTime(bucket.from)} to ${clockTime(bucket.from + width)}: ${plural(total, "arrival")}, ${parts.join(", ")}. Show from here on`;
  return { ...bucket, total, label };
}
