// Numbers, times and sizes as text. Units always stand with the number.

const GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export const integer = (n: number): string => GROUPED.format(n);

/** "1 operation", "2 operations". */
export const plural = (n: number, one: string, many = `${one}s`): string => `${integer(n)} ${n === 1 ? one : many}`;

/** A duration given in milliseconds, with three significant digits and the unit that reads best. */
export function millis(ms: number | null): string {
  if (ms === null) return "–";
  if (ms >= 60_000) return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
  if (ms >= 1000) return `${trim(ms / 1000)} s`;
  if (ms >= 1) return `${trim(ms)} ms`;
  return `${Math.round(ms * 1000)} µs`;
}

function trim(x: number): string {
  return x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2);
}

export const nanos = (ns: number): string => millis(ns / 1e6);

/** A moment of the run, given in nanoseconds since its start: "13.031 s", "3:05.120". */
export function clock(ns: number | null | undefined): string {
  if (ns === null || ns === undefined) return "–";
  const s = ns / 1e9;
  if (s < 60) return `${s.toFixed(3)} s`;
  const minutes = Math.floor(s / 60);
  return `${minutes}:${(s - minutes * 60).toFixed(3).padStart(6, "0")}`;
}

/** The same on the wall clock, UTC. */
export function wall(started: string | null, ns: number): string | null {
  const start = started === null ? NaN : Date.parse(started);
  return Number.isNaN(start) ? null : new Date(start + ns / 1e6).toISOString().replace("T", " ");
}

const STEPS: [number, string][] = [
  [60, "second"],
  [3600, "minute"],
  [86_400, "hour"],
  [2_592_000, "day"],
  [31_536_000, "month"],
  [Infinity, "year"],
];

/** "3 minutes ago". */
export function ago(iso: string, now: number): string {
  const seconds = Math.max(0, (now - Date.parse(iso)) / 1000);
  if (Number.isNaN(seconds)) return iso;
  let unit = 1;
  for (const [limit, name] of STEPS) {
    if (seconds < limit) return seconds < 10 ? "just now" : `${plural(Math.floor(seconds / unit), name)} ago`;
    unit = limit;
  }
  return iso;
}

/** "2026-11-23 14:51:54 UTC". */
export function stamp(iso: string | null): string {
  if (iso === null) return "–";
  const at = Date.parse(iso);
  return Number.isNaN(at) ? iso : `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** A message as a sentence begins; a first word that is a name stays as it is. */
export const sentence = (text: string): string => text.replace(/^[a-z](?=[a-z]* )/, (c) => c.toUpperCase());

export function bytes(n: number): string {
  if (n < 1000) return `${n} B`;
  const units = ["kB", "MB", "GB"];
  let size = n / 1000;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${size < 10 ? size.toFixed(1) : size.toFixed(0)} ${units[unit]}`;
}

export const percent = (part: number, whole: number): string =>
  whole === 0 ? "–" : `${((100 * part) / whole).toFixed(part === whole ? 0 : part / whole > 0.99 ? 3 : 1)} %`;

/** How `b` differs from `a`, as a share of `a`. */
export function difference(a: number | null, b: number | null): string {
  if (a === null || b === null || a === b) return a === b ? "same" : "–";
  if (a === 0) return b > 0 ? "more" : "less";
  const change = (100 * (b - a)) / Math.abs(a);
  const text = Math.abs(change) >= 10 ? change.toFixed(0) : change.toFixed(1);
  return `${change > 0 ? "+" : "−"}${text.replace("-", "")} %`;
}
