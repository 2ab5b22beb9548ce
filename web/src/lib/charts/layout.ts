// Where things stand on the charts: pure functions over the timeline.

import type { Band, Json, Leader, Operation, Point, Timeline } from "../../api/types";
import { first, last, polled, sends, tookMs } from "../operation";

/** The lane of each interval such that no two of a lane overlap; intervals come ordered by their start. */
export function lanes(intervals: { start: number; end: number }[]): number[] {
  const ends: number[] = [];
  return intervals.map(({ start, end }) => {
    const free = ends.findIndex((e) => e <= start);
    const lane = free === -1 ? ends.length : free;
    ends[lane] = end;
    return lane;
  });
}

const word = (v: Json): string => (typeof v === "string" ? v : v === null ? "" : JSON.stringify(v));

/** "kill node 2", "kill leader of orders-2 (node 2)". */
export function bandLabel(band: Band, long = false): string {
  const nodes = Array.isArray(band.nodes) ? band.nodes.map(word).join(", ") : word(band.nodes);
  const which = nodes === "" ? word(band.target) : `node ${nodes}`;
  if (!long) return `${band.f} ${which}`.trim();
  const role = word(band.target);
  const of = band.key === null || role !== "leader" ? role : `${role} of ${word(band.key)}`;
  return of === "" ? `${band.f} ${which}` : `${band.f} ${of} (${which})`;
}

/** What may stand beside a band, the longest first; where the room is too small, what is left out is in the table. */
export function bandLabels(band: Band): string[] {
  const whole = bandLabel(band);
  return [band.witnessed === false ? `${whole} (not witnessed)` : whole, whole, band.f];
}

export const leaderLabel = (l: Leader): string =>
  `${word(l.topic)}-${word(l.partition)}: leader ${word(l.from) || "none"} → ${word(l.to) || "none"}, epoch ${word(l.epoch) || "?"}`;

/** The faults that are on at a moment. */
export const bandsAt = (bands: Band[], t: number): Band[] => bands.filter((b) => b.start <= t && t <= b.end);

/** Runs of leader changes that a chart cannot tell apart, as `[first, last]` positions. */
export function clusters(times: number[], gap: number): [number, number][] {
  const found: [number, number][] = [];
  times.forEach((t, i) => {
    const open = found.at(-1);
    if (open && t - (times[open[1]] ?? 0) <= gap) open[1] = i;
    else found.push([i, i]);
  });
  return found;
}

/** The position of the first element that is not below `x`, in an ascending array. */
export function lowerBound(sorted: ArrayLike<number>, x: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Round powers of ten that hold all latencies, in ms. */
export function latencyRange(points: Point[]): [number, number] {
  let [low, high] = [Infinity, 0];
  for (const { ms } of points) {
    if (ms === null || ms <= 0) continue;
    low = Math.min(low, ms);
    high = Math.max(high, ms);
  }
  if (high === 0) return [0.1, 100];
  const from = 10 ** Math.floor(Math.log10(low));
  return [from, Math.max(10 ** Math.ceil(Math.log10(high)), from * 10)];
}

/** What is drawn by one colour and shape, and can be switched off as one. */
export const classOf = (p: Point): string => `${p.f} ${p.type}`;

export function classes(points: Point[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const p of points) counts.set(classOf(p), (counts.get(classOf(p)) ?? 0) + 1);
  const rank = (name: string) => ["ok", "info", "fail"].findIndex((o) => name.endsWith(o));
  return [...counts].sort((a, b) => rank(a[0]) - rank(b[0]) || b[1] - a[1]);
}

export interface TableRow {
  from: number;
  to: number;
  ok: number;
  fail: number;
  info: number;
  slowestMs: number | null;
  faults: string;
  leaders: number;
}

/** The charts as a table of at most `rows` rows, for those who cannot see them. */
export function tabulate(timeline: Timeline, rows: number): TableRow[] {
  const per = Math.max(1, Math.ceil(timeline.rate.length / rows));
  const table: TableRow[] = [];
  for (let i = 0; i < timeline.rate.length; i += per) {
    const steps = timeline.rate.slice(i, i + per);
    const from = steps[0]?.t ?? 0;
    const to = Math.min((steps.at(-1)?.t ?? 0) + timeline.rate_step, timeline.to);
    const inside = (t: number) => t >= from && t < to;
    const slowest = timeline.points.filter((p) => inside(p.t)).reduce((max, p) => Math.max(max, p.ms ?? 0), 0);
    const faults = timeline.bands.filter((b) => b.start < to && b.end >= from).map((b) => bandLabel(b));
    const sum = (kind: "ok" | "fail" | "info") => steps.reduce((n, s) => n + s[kind], 0);
    table.push({
      from,
      to,
      ok: sum("ok"),
      fail: sum("fail"),
      info: sum("info"),
      slowestMs: slowest === 0 ? null : slowest,
      faults: [...new Set(faults)].join(", "),
      leaders: timeline.leaders.filter((l) => inside(l.t)).length,
    });
  }
  return table;
}

/** Whether something that lasts from `start` to `end` touches the window; without a window, and without times, it does. */
export const within = (
  window: { from: number; to: number } | null,
  start: number | null,
  end: number | null,
): boolean => window === null || start === null || (start <= window.to && (end ?? start) >= window.from);

/** A window round a fault: two seconds before it and after it, within the run. */
export const windowOf = (band: Band, duration: number): { from: number; to: number } => ({
  from: Math.max(0, band.start - 2e9),
  to: Math.min(duration, band.end + 2e9),
});

/** The point that an operation of a client has on the chart; null for the nemesis, the cluster, and rows without time. */
export function pointOf(op: Operation): Point | null {
  const event = last(op);
  const t = first(op).time;
  if (t === undefined || typeof event.process === "string") return null;
  const type = event.type === "invoke" ? "info" : event.type;
  const key = sends(event)[0]?.key ?? polled(event)[0]?.key ?? null;
  return { i: event.index, t, ms: tookMs(op), f: event.f, type, key };
}

/** The points with those that sampling left out, within the window of the timeline. */
export function withPoints(timeline: Timeline, more: Point[]): Timeline {
  const drawn = new Set(timeline.points.map((p) => p.i));
  const missing = more.filter((p) => !drawn.has(p.i) && p.t >= timeline.from && p.t <= timeline.to);
  return missing.length === 0
    ? timeline
    : { ...timeline, points: [...timeline.points, ...missing].sort((a, b) => a.t - b.t) };
}
