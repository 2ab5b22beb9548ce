// Reading operations: what was asked and what was answered, as short text and as records.

import type { HistoryEvent, Json, Operation, Scalar } from "../api/types";

export interface PolledKey {
  key: string;
  records: { offset: number | null; value: Scalar; meta: Json }[];
}

export interface Sent {
  key: string;
  value: string;
  /** Undefined: not answered. Null: answered without an offset. */
  offset: number | null | undefined;
}

export const first = (op: Operation): HistoryEvent => (op.invoke ?? op.complete) as HistoryEvent;
export const last = (op: Operation): HistoryEvent => (op.complete ?? op.invoke) as HistoryEvent;

/** When the first of them began, ns; null when none says. */
export function firstMoment(ops: Operation[]): number | null {
  const times = ops.map((op) => first(op).time).filter((t) => t !== undefined);
  return times.length === 0 ? null : Math.min(...times);
}

/** How it ended: `open` when no completion was recorded. */
export const ended = (op: Operation): string => op.complete?.type ?? "open";

export function tookMs(op: Operation): number | null {
  const [from, to] = [op.invoke?.time, op.complete?.time];
  return from === undefined || to === undefined ? null : Math.max(0, to - from) / 1e6;
}

export function show(value: Json | undefined): string {
  return typeof value === "string" ? value : JSON.stringify(value ?? null);
}

function mops(event: HistoryEvent): Json[][] {
  if (!Array.isArray(event.value)) return [];
  return event.value.filter((m): m is Json[] => Array.isArray(m) && (m[0] === "send" || m[0] === "poll"));
}

export function sends(event: HistoryEvent): Sent[] {
  return mops(event)
    .filter((m) => m[0] === "send")
    .map(([, key, value]) =>
      Array.isArray(value)
        ? { key: show(key), value: show(value[1]), offset: typeof value[0] === "number" ? value[0] : null }
        : { key: show(key), value: show(value), offset: undefined },
    );
}

export function polled(event: HistoryEvent): PolledKey[] {
  return mops(event).flatMap(([f, groups]) => {
    if (f !== "poll" || groups === null || typeof groups !== "object" || Array.isArray(groups)) return [];
    return Object.entries(groups).map(([key, records]) => ({
      key,
      records: (Array.isArray(records) ? records : []).filter(Array.isArray).map((r) => ({
        offset: typeof r[0] === "number" ? r[0] : null,
        value: typeof r[1] === "number" || typeof r[1] === "string" ? r[1] : show(r[1]),
        meta: r[2] ?? null,
      })),
    }));
  });
}

/** Consecutive offsets as ranges: "649–652, 654". */
export function ranges(offsets: number[]): string {
  const parts: string[] = [];
  let from: number | null = null;
  offsets.forEach((o, i) => {
    from ??= o;
    if (offsets[i + 1] === o + 1) return;
    parts.push(from === o ? `${o}` : `${from}–${o}`);
    from = null;
  });
  return parts.length > 6 ? `${parts.slice(0, 5).join(", ")}, … ${parts.at(-1)}` : parts.join(", ");
}

/** One line for tables: `orders-2 ← 17 @ 118`, `orders-2 [118–121]`. */
export function summary(op: Operation): string {
  const event = last(op);
  const sent = sends(event).map((s) => {
    const at = s.offset === undefined ? "" : s.offset === null ? " @ ?" : ` @ ${s.offset}`;
    return `${s.key} ← ${s.value}${at}`;
  });
  const got = polled(event);
  const read = got.map((g) => {
    const offsets = g.records.map((r) => r.offset).filter((o) => o !== null);
    return `${g.key} [${offsets.length > 0 ? ranges(offsets) : `${g.records.length} records`}]`;
  });
  if (sent.length + read.length > 0) return [...sent, ...read].join("; ");
  if (mops(event).length > 0) return event.type === "ok" ? "no records" : "";
  return event.value === undefined ? "" : show(event.value);
}

const CORE = new Set(["index", "time", "process", "type", "f", "value", "error"]);

/** What the rows carry beyond the common fields. */
export function extras(op: Operation): [string, Json][] {
  const fields = new Map<string, Json>();
  for (const event of [op.invoke, op.complete]) {
    for (const [name, value] of Object.entries(event ?? {})) {
      if (!CORE.has(name) && value !== undefined && value !== null) fields.set(name, value);
    }
  }
  return [...fields];
}

/** The rows as they stand in the history, one a line. */
export const jsonl = (ops: Operation[]): string =>
  ops
    .flatMap((op) => [op.invoke, op.complete])
    .filter((e) => e !== null)
    .map((e) => `${JSON.stringify(e)}\n`)
    .join("");
