// A run whose data stands inside the page: what a server would answer, worked out from it.

import { pointOf } from "../lib/charts/layout";
import { first, last, polled, sends, show } from "../lib/operation";
import { ApiError, type Params, type RunSource } from "./client";
import type {
  Glossary,
  HistoryEvent,
  LogRow,
  LogSeen,
  LogView,
  NodeLine,
  NodeLog,
  Operation,
  Outcome,
  Point,
  RunDetail,
  RunSummary,
  Timeline,
} from "./types";

export const SCHEMA = "perjury.evidence/1";

/** The data of a one-file report, as the element `perjury-data` holds it. */
export interface EvidenceData {
  schema: string;
  run: RunSummary;
  /** As `GET /runs/{name}/{time}` answers. */
  detail: RunDetail;
  /** As `…/timeline` answers, at most 4,000 points; null where the history was unreadable. */
  timeline: Timeline | null;
  /** Operations in the order of their invocations: all of them, those round the anomalies, or the shrunk ones. */
  operations: { history: "whole" | "window" | "shrunk"; items: Operation[] };
  /** Answers of `…/log` (they have rows) and of `…/logs` (they have lines) for what the anomalies touch. */
  logs: (LogView | (NodeLog & { node?: string }))[];
  manifest?: Record<string, unknown>;
  signature?: Record<string, unknown>;
  /** The entries of `GET /glossary` for the anomalies of this run. */
  glossary?: Glossary;
  /** The report as text of issue trackers. */
  markdown?: { github?: string; jira?: string };
}

/** Reads the data that a page carries; null when it is a page of a server, or a template that nobody filled. */
export function embedded(): EvidenceData | null {
  const text = document.getElementById("perjury-data")?.textContent ?? "";
  if (text.trim() === "" || text.trim() === "null") return null;
  const data = JSON.parse(text) as EvidenceData;
  if (data.schema !== SCHEMA) {
    throw new Error(`this page reads ${SCHEMA}, but its data is ${data.schema}: make the report again with perjury`);
  }
  return data;
}

const missing = (what: string) =>
  new ApiError(404, "not-in-file", `This file holds no ${what}.`, "Open the run on the server that recorded it.");

/** Answers from the data. Times and offsets are compared as the server does. */
export function sourceOf(data: EvidenceData): RunSource {
  const { items } = data.operations;
  return {
    held: data.operations.history,
    seal: { manifest: data.manifest, signature: data.signature },
    detail: async () => data.detail,
    async timeline(_id, params) {
      if (data.timeline === null) throw missing("timeline");
      return windowed(data.timeline, data.operations.history === "whole" ? items : null, params);
    },
    async operations(_id, params) {
      if (has(params["index"])) {
        const wanted = new Set(String(params["index"]).split(",").map(Number));
        const operations = items.filter((op) =>
          [op.invoke, op.complete].some((e) => e !== null && wanted.has(e.index)),
        );
        return { operations, total: operations.length, before: 0, next: null };
      }
      return search(items, params);
    },
    async log(_id, params) {
      const key = String(params["key"]);
      const [from, to] = [Number(params["from"] ?? 0), Number(params["to"] ?? Number.MAX_SAFE_INTEGER)];
      return kept(data.logs, key, from, to) ?? logOf(items, key, from, to);
    },
    async nodeLog(_id, params) {
      return nodeLines(data.logs, params);
    },
    async glossary() {
      return data.glossary ?? { anomalies: [] };
    },
    async markdown(_id, flavor) {
      const text = data.markdown?.[flavor];
      if (text === undefined) throw missing(`text for ${flavor}`);
      return text;
    },
  };
}

const has = (v: Params[string]): boolean => v !== null && v !== undefined && v !== "";

/** How many steps the rate of a window has, and how many of its points are drawn. */
const STEPS = 120;
const POINTS_MAX = 4000;

/** The part of the timeline within a window; drawn from the operations where all of them are here. */
export function windowed(whole: Timeline, items: Operation[] | null, params: Params): Timeline {
  if (!has(params["from"]) || !has(params["to"])) return whole;
  const from = Math.max(0, Number(params["from"]));
  const to = Math.max(from + 1, Math.min(Number(params["to"]), whole.duration));
  const inside = (t: number) => t >= from && t <= to;
  const all: Point[] = items === null ? whole.points : items.map(pointOf).filter((p) => p !== null);
  const points = all.filter((p) => inside(p.t));
  if (items === null) {
    const rate = whole.rate.filter((r) => r.t + whole.rate_step > from && r.t < to);
    return { ...whole, from, to, points, rate, operations: points.length };
  }
  const step = Math.max(1, Math.ceil((to - from) / STEPS));
  const rate = Array.from({ length: Math.ceil((to - from) / step) }, (_, i) => ({
    t: from + i * step,
    ok: 0,
    fail: 0,
    info: 0,
  }));
  for (const p of all) {
    if (p.ms === null) continue;
    const end = p.t + p.ms * 1e6;
    const slot = inside(end) ? rate[Math.floor((end - from) / step)] : undefined;
    if (slot) slot[p.type] += 1;
  }
  const drawn =
    points.length <= POINTS_MAX ? points : points.filter((_, i) => (i * POINTS_MAX) % points.length < POINTS_MAX);
  const sampled = drawn.length < points.length;
  return { ...whole, from, to, points: drawn, operations: points.length, sampled, rate, rate_step: step };
}

const LIMIT = 50;

function search(items: Operation[], params: Params) {
  const found = items.filter((op) => matches(op, params));
  const from = Number(params["from"] ?? 0);
  const before = found.filter((op) => first(op).index < from).length;
  const limit = Number(params["limit"] ?? LIMIT);
  const operations = found.slice(before, before + limit);
  const after = found[before + limit];
  return { operations, total: found.length, before, next: after ? first(after).index : null };
}

function matches(op: Operation, p: Params): boolean {
  const text = (name: string) => (has(p[name]) ? String(p[name]) : null);
  const event = last(op);
  const [who, f, type, error] = [text("process"), text("f"), text("type"), text("error")];
  const process = event.process ?? null;
  if (who === null ? typeof process === "string" : who !== "all" && String(process) !== who) return false;
  if (f !== null && event.f !== f) return false;
  if (type !== null && (op.complete?.type ?? "open") !== type) return false;
  if (error !== null && !(op.complete?.error?.code ?? "").toLowerCase().includes(error.toLowerCase())) return false;
  const t = first(op).time;
  if (has(p["since"]) && (t === undefined || t < Number(p["since"]))) return false;
  if (has(p["until"]) && (t === undefined || t > Number(p["until"]))) return false;
  return touches(event, text("key"), has(p["offset"]) ? Number(p["offset"]) : null, text("value"));
}

/** Whether one record or send of the operation has the key, offset and value, all at once. */
function touches(event: HistoryEvent, key: string | null, offset: number | null, value: string | null): boolean {
  if (key === null && offset === null && value === null) return true;
  const is = (k: string, o: number | null | undefined, v: string) =>
    (key === null || k === key) && (offset === null || o === offset) && (value === null || v === value);
  return (
    sends(event).some((s) => is(s.key, s.offset, s.value)) ||
    polled(event).some((g) => g.records.some((r) => is(g.key, r.offset, show(r.value))))
  );
}

/** A window of a log that the file has as the server answered it. */
function kept(logs: EvidenceData["logs"], key: string, from: number, to: number): LogView | null {
  for (const view of logs) {
    if (!("rows" in view) || show(view.key) !== key) continue;
    const end = Math.min(to, view.highest ?? view.to);
    if (from < view.from || end > view.to) continue;
    return { ...view, from, to, rows: view.rows.filter((r) => r.offset >= from && r.offset <= to) };
  }
  return null;
}

/** The same worked out from the operations that are here. */
function logOf(items: Operation[], key: string, from: number, to: number): LogView {
  const rows = new Map<number, LogRow>();
  const observers = new Set<number | string>();
  let highest: number | null = null;
  const row = (offset: number | null | undefined): LogRow | null => {
    if (offset === null || offset === undefined) return null;
    highest = Math.max(highest ?? offset, offset);
    if (offset < from || offset > to) return null;
    const known = rows.get(offset) ?? { offset, writes: [], reads: [], hidden_reads: 0 };
    rows.set(offset, known);
    return known;
  };
  for (const op of items) {
    const event = last(op);
    const type: Outcome = event.type === "invoke" ? "info" : event.type;
    const process = event.process ?? null;
    const seen = (value: LogSeen["value"]): LogSeen => ({
      i: event.index,
      process,
      type,
      value,
      t: event.time ?? null,
      ...(event["final"] === true ? { final: true } : {}),
    });
    for (const s of sends(event)) if (s.key === key) row(s.offset)?.writes.push(seen(s.value));
    for (const group of polled(event)) {
      if (group.key !== key) continue;
      if (process !== null) observers.add(process);
      for (const r of group.records) row(r.offset)?.reads.push(seen(r.value));
    }
  }
  const sorted = [...rows.values()].sort((a, b) => a.offset - b.offset);
  return { key, from, to, highest, observers: [...observers], rows: sorted };
}

function nodeLines(logs: EvidenceData["logs"], params: Params): NodeLog {
  const [node, limit] = [has(params["node"]) ? String(params["node"]) : null, Number(params["limit"] ?? 200)];
  const [from, to] = [params["from"], params["to"]].map((v) => (has(v) ? Number(v) : null));
  const seen = new Set<string>();
  const lines: NodeLine[] = [];
  for (const part of logs) {
    if (!("lines" in part)) continue;
    for (const raw of part.lines) {
      const line = { ...raw, node: raw.node ?? part.node ?? "" };
      const same = `${line.node} ${line.stream} ${line.t} ${line.text}`;
      if (seen.has(same) || (node !== null && line.node !== node)) continue;
      if (typeof from === "number" && (line.t === null || line.t < from)) continue;
      if (typeof to === "number" && (line.t === null || line.t > to)) continue;
      seen.add(same);
      lines.push(line);
    }
  }
  lines.sort((a, b) => (a.t ?? 0) - (b.t ?? 0));
  return { lines: lines.slice(0, limit), more: lines.length > limit };
}
