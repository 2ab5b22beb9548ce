// The operations that prove an anomaly, on an axis of time that leaves out what is between them.

import type { Band, Leader, Operation } from "../../api/types";
import { ended, first, last, polled, ranges, sends, show, summary } from "../operation";

/** An operation as a bar. */
export interface Bar {
  op: Operation;
  index: number;
  process: string;
  outcome: string;
  text: string;
  from: number;
  /** Null: nobody knows when it ended, or whether it takes effect later. */
  to: number | null;
}

/** What the picture is about. */
export interface About {
  key: string | null;
  offset: number | null;
  value: string | null;
}

const TEXT_MAX = 64;

/** What an operation says about the key and offset in question, rather than all that it says. */
export function told(op: Operation, about: About): string {
  const event = last(op);
  const sent = sends(event).filter((s) => about.key === null || s.key === about.key);
  const parts = sent.map((s) => {
    const at = s.offset === undefined ? "" : s.offset === null ? " at an unknown offset" : ` at offset ${s.offset}`;
    return `send ${s.value}${about.key === null ? ` to ${s.key}` : ""}${at}`;
  });
  for (const group of polled(event)) {
    if (about.key !== null && group.key !== about.key) continue;
    const here = group.records.filter((r) => r.offset !== null && r.offset === about.offset);
    const again = group.records.filter((r) => show(r.value) === about.value && r.offset !== about.offset);
    const offsets = group.records.map((r) => r.offset).filter((o) => o !== null);
    for (const r of here) parts.push(`read ${show(r.value)} at offset ${r.offset}`);
    for (const r of again) parts.push(`read ${show(r.value)} at offset ${r.offset ?? "?"}`);
    const whose = about.key === null ? ` of ${group.key}` : "";
    if (here.length + again.length === 0) parts.push(`read offsets ${ranges(offsets)}${whose}`);
    else if (offsets.length > here.length + again.length) parts.push(`of ${ranges(offsets)}`);
  }
  const text = parts.length > 0 ? parts.join(", ") : `${event.f} ${summary(op)}`.trim();
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX - 1)}…` : text;
}

/** The bars, operations of one process beside each other, otherwise by their beginning. */
export function bars(operations: Operation[], about: About): Bar[] {
  const all = operations.flatMap((op): Bar[] => {
    const [begin, end] = [first(op), op.complete];
    const from = begin.time ?? end?.time;
    if (from === undefined) return [];
    const outcome = ended(op);
    const lasting = outcome === "info" || outcome === "open";
    const process = begin.process === undefined ? "?" : String(begin.process);
    const to = lasting ? null : (end?.time ?? from);
    return [{ op, index: last(op).index, process, outcome, text: told(op, about), from, to }];
  });
  const begins = new Map<string, number>();
  for (const bar of all) begins.set(bar.process, Math.min(begins.get(bar.process) ?? Infinity, bar.from));
  return all.sort(
    (a, b) =>
      (begins.get(a.process) ?? 0) - (begins.get(b.process) ?? 0) ||
      a.process.localeCompare(b.process) ||
      a.from - b.from,
  );
}

/** Positions for moments, in pixels. Long pauses take little more room than short ones. */
export interface Scale {
  at: (t: number) => number;
  /** Every moment that has a place of its own, ascending. */
  stops: { t: number; x: number }[];
}

export function scale(times: number[], width: number): Scale {
  const sorted = [...new Set(times)].sort((a, b) => a - b);
  if (sorted.length === 0) return { at: () => 0, stops: [] };
  const weights = sorted.map((t, i) => (i === 0 ? 0 : 1 + Math.log10(1 + (t - (sorted[i - 1] ?? t)) / 1e6)));
  const total = Math.max(
    1,
    weights.reduce((sum, w) => sum + w, 0),
  );
  let sum = 0;
  const stops = sorted.map((t, i) => {
    sum += weights[i] ?? 0;
    return { t, x: (width * sum) / total };
  });
  const at = (t: number) => {
    const next = stops.findIndex((s) => s.t >= t);
    const right = next === -1 ? stops.at(-1) : stops[next];
    const left = stops[next === -1 ? stops.length - 1 : Math.max(0, next - 1)];
    if (!left || !right || right.t === left.t) return right?.x ?? 0;
    return left.x + ((right.x - left.x) * (t - left.t)) / (right.t - left.t);
  };
  return { at, stops };
}

/** Of these positions, those that leave room for a label each. */
export function spaced<T extends { x: number }>(stops: T[], room: number): T[] {
  const kept: T[] = [];
  for (const stop of stops) {
    const before = kept.at(-1);
    if (!before || stop.x - before.x >= room) kept.push(stop);
  }
  return kept;
}

/** Who led a topic-partition from when to when, within a window; a node is null while nobody did. */
export interface Reign {
  from: number;
  to: number;
  node: string | null;
  epoch: string | null;
}

const word = (v: unknown): string | null => (v === null || v === undefined || v === "" ? null : String(v));

export function reigns(leaders: Leader[], key: string, from: number, to: number): Reign[] {
  const own = leaders.filter((l) => `${word(l.topic)}-${word(l.partition)}` === key).sort((a, b) => a.t - b.t);
  const found: Reign[] = [];
  const before = own.filter((l) => l.t <= from).at(-1);
  const later = own.filter((l) => l.t > from && l.t < to);
  let now: Reign = {
    from,
    to,
    node: before ? word(before.to) : later[0] ? word(later[0].from) : null,
    epoch: before ? word(before.epoch) : null,
  };
  if (!before && !later[0]) return [];
  for (const l of later) {
    found.push({ ...now, to: l.t });
    now = { from: l.t, to, node: word(l.to), epoch: word(l.epoch) };
  }
  return [...found, now];
}

/** Faults that overlap the window, and the one that is named; at most six. */
export function faultsIn(bands: Band[], from: number, to: number, named: number | null): Band[] {
  return bands.filter((b) => b.fault === named || (b.start <= to && b.end >= from)).slice(0, 6);
}
