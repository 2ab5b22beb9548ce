// Reading a window of a key's log: which observers, which offsets, what is to be said of each.

import type { LogRow, LogView } from "../api/types";
import { show } from "./operation";

const COLUMNS_MAX = 10;

/** The observers that tell most: those who took part in the final reads first. */
export function columns(view: LogView): (number | string)[] {
  const final = new Set(view.rows.flatMap((r) => r.reads.filter((s) => s.final).map((s) => s.process)));
  const ranked = [...view.observers].sort((a, b) => Number(final.has(b)) - Number(final.has(a)));
  const kept = new Set(ranked.slice(0, COLUMNS_MAX));
  return view.observers.filter((o) => kept.has(o));
}

/** All offsets of the window, also those of which nobody said anything, up to the highest that anyone saw. */
export function rows(view: LogView): LogRow[] {
  const byOffset = new Map(view.rows.map((r) => [r.offset, r]));
  const last = Math.min(view.to, view.highest ?? view.to);
  const all: LogRow[] = [];
  for (let offset = view.from; offset <= last; offset++) {
    all.push(byOffset.get(offset) ?? { offset, writes: [], reads: [], hidden_reads: 0 });
  }
  return all;
}

export type RowState = "lost" | "conflict" | "hole" | "read";

/** What is to be said of an offset: several values, acknowledged and unread, nothing at all, or as it should be. */
export function stateOf(row: LogRow): RowState {
  const values = new Set([...row.writes, ...row.reads].map((s) => show(s.value)));
  if (values.size > 1) return "conflict";
  if (row.reads.some((r) => r.type === "ok")) return "read";
  return row.writes.some((w) => w.type === "ok") ? "lost" : "hole";
}
