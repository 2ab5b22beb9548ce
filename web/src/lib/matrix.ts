// Reading a window of a key's log: which observers, which offsets, what is to be said of each.

import type { LogRow, LogView } from "../api/types";
import { show } from "./operation";

const COLUMNS_MAX = 10;

/** The observers that tell most: those who took part in the final reads first. */
export function columns(view: Pick<LogView, "rows" | "observers">): (number | string)[] {
  const final = new Set(view.rows.flatMap((r) => r.reads.filter((s) => s.final).map((s) => s.process)));
  const ranked = [...view.observers].sort((a, b) => Number(final.has(b)) - Number(final.has(a)));
  const kept = new Set(ranked.slice(0, COLUMNS_MAX));
  return view.observers.filter((o) => kept.has(o));
}

/** An offset of which nobody said anything. */
export const nothing = (offset: number): LogRow => ({ offset, writes: [], reads: [], hidden_reads: 0 });

/** All offsets of the window, also those of which nobody said anything, up to the highest that anyone saw. */
export function rows(view: LogView): LogRow[] {
  const byOffset = new Map(view.rows.map((r) => [r.offset, r]));
  const last = Math.min(view.to, view.highest ?? view.to);
  const all: LogRow[] = [];
  for (let offset = view.from; offset <= last; offset++) all.push(byOffset.get(offset) ?? nothing(offset));
  return all;
}

export type RowState = "lost" | "conflict" | "duplicate" | "hole" | "read";

const valuesOf = (row: LogRow): Set<string> => new Set([...row.writes, ...row.reads].map((s) => show(s.value)));

/** Values that stand at more than one of these offsets. */
export function repeated(all: LogRow[]): Set<string> {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const row of all) {
    for (const value of valuesOf(row)) (seen.has(value) ? twice : seen).add(value);
  }
  return twice;
}

/**
 * What is to be said of an offset: several values, one that stands elsewhere too, acknowledged and unread, nothing at
 * all, or as it should be.
 */
export function stateOf(row: LogRow, twice: Set<string> = new Set()): RowState {
  const values = valuesOf(row);
  if (values.size > 1) return "conflict";
  if ([...values].some((v) => twice.has(v))) return "duplicate";
  if (row.reads.some((r) => r.type === "ok")) return "read";
  return row.writes.some((w) => w.type === "ok") ? "lost" : "hole";
}
