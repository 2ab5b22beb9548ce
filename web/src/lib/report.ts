// A report as pages read it: every field is there, whatever the file lacked.

import type { Json, JsonObject, Judgement, Scalar, Verdict } from "../api/types";
import { list, numbers, object, text } from "./json";

export interface Example {
  sentence: string;
  key: Scalar | null;
  offset: number | null;
  value: Scalar | null;
  ops: number[];
  fault: number | null;
  /** Fields of this kind of anomaly alone. */
  other: [string, Json][];
}

export interface Anomaly {
  name: string;
  count: number;
  /** How many of the cases the contract prohibits. */
  violations: number;
  judgement: Judgement;
  rule: string;
  title: string;
  analysis: string;
  examples: Example[];
}

export interface KeyCounts {
  key: string;
  acknowledged: number;
  read: number;
  unseen: number;
  lost: number;
  highest: number | null;
}

export interface Fault {
  fault: number;
  f: string;
  target: string;
  nodes: string[];
  key: string | null;
  start: number | null;
  end: number | null;
  witnessed: boolean;
  why: string;
  electionMs: number | null;
  firstOkMs: number | null;
  gapMs: number | null;
}

export interface Report {
  verdict: Verdict | null;
  headline: string;
  reasons: { code: string; message: string }[];
  notes: string[];
  model: string;
  operations: number;
  events: number;
  story: { text: string; ops: number[] }[];
  anomalies: Anomaly[];
  analyses: [string, string][];
  sends: Counts;
  polls: Counts;
  acknowledged: number;
  acknowledgedRead: number;
  unseen: number;
  lost: number;
  polledRecords: number | null;
  keys: KeyCounts[];
  /** How many topic-partitions there are; more than are listed in very wide runs. */
  keysTotal: number;
  /** Acknowledged and not yet read, over time (ns). */
  unseenSeries: { time: number; unseen: number }[];
  errors: [string, number][];
  coverage: Coverage;
  formationMs: number | null;
  faults: Fault[];
  longestGapMs: number | null;
  leaderChanges: number | null;
  contract: { name: string; config: JsonObject; rules: { anomaly: string; judgement: Judgement; rule: string }[] };
  confidence: string;
  /** What a calibration says of the plan; empty without one. */
  recall: string;
  lag: JsonObject | null;
}

export interface Counts {
  ok: number;
  fail: number;
  info: number;
}

export interface Coverage {
  asked: string[];
  injected: number;
  witnessed: number;
  leaderKills: number;
  okSends: number;
  okPolls: number;
  finalRead: string;
}

const maybe = (v: Json | undefined): number | null => (typeof v === "number" && Number.isFinite(v) ? v : null);
const count = (v: Json | undefined): number => maybe(v) ?? 0;
const scalar = (v: Json | undefined): Scalar | null => (typeof v === "number" || typeof v === "string" ? v : null);

const SEVERITY: Record<Judgement, number> = { violation: 0, unspecified: 1, allowed: 2 };

/** What weighs more stands first: data that is gone or wrong, then what should not have been seen, then order. */
const WEIGHT = [
  "lost-write",
  "lost-tail",
  "truncated-log",
  "corrupt-record",
  "inconsistent-offsets",
  "resurrected-write",
  "phantom-read",
  "G1a",
  "torn-transaction",
  "duplicate",
  "early-read",
  "precommitted-read",
  "stale-read",
  "realtime-order",
];

/** The place of an anomaly among those of the same judgement; unknown names come after the known ones. */
function weight(name: string): number {
  const at = WEIGHT.indexOf(name);
  return at === -1 ? WEIGHT.length : at;
}

function judgement(v: Json | undefined): Judgement {
  return v === "violation" || v === "allowed" ? v : "unspecified";
}

function verdict(v: Json | undefined): Verdict | null {
  return v === "valid" || v === "invalid" || v === "unknown" ? v : null;
}

const EXAMPLE_FIELDS = new Set(["sentence", "key", "offset", "value", "ops", "fault"]);

function example(v: Json): Example {
  const o = object(v);
  return {
    sentence: text(o["sentence"]),
    key: scalar(o["key"]),
    offset: maybe(o["offset"]),
    value: scalar(o["value"]),
    ops: numbers(o["ops"]),
    fault: maybe(o["fault"]),
    other: Object.entries(o).filter(([k, v]) => !EXAMPLE_FIELDS.has(k) && v !== null),
  };
}

function anomalies(v: Json | undefined): Anomaly[] {
  const all = Object.entries(object(v)).map(([name, raw]) => {
    const o = object(raw);
    return {
      name,
      count: count(o["count"]),
      violations: maybe(o["violations"]) ?? (o["judgement"] === "violation" ? count(o["count"]) : 0),
      judgement: judgement(o["judgement"]),
      rule: text(o["rule"]),
      title: text(o["title"]),
      analysis: text(o["analysis"]),
      examples: list(o["examples"]).map(example),
    };
  });
  const found = all.filter((a) => a.count > 0 || a.examples.length > 0);
  return found.sort(
    (a, b) => SEVERITY[a.judgement] - SEVERITY[b.judgement] || weight(a.name) - weight(b.name) || b.count - a.count,
  );
}

function fault(v: Json): Fault {
  const o = object(v);
  return {
    fault: count(o["fault"]),
    f: text(o["f"]),
    target: text(o["target"]),
    nodes: list(o["nodes"]).map(text),
    key: text(o["key"]) || null,
    start: maybe(o["start"]),
    end: maybe(o["end"]),
    witnessed: o["witnessed"] === true,
    why: text(o["why"]),
    electionMs: maybe(o["election_ms"]),
    firstOkMs: maybe(o["first_ok_send_after_ms"]),
    gapMs: maybe(o["longest_gap_ms"]),
  };
}

function keyCounts(v: Json): KeyCounts {
  const o = object(v);
  return {
    key: text(o["key"]),
    acknowledged: count(o["acknowledged"]),
    read: count(o["read"]),
    unseen: count(o["unseen"]),
    lost: count(o["lost"]),
    highest: maybe(o["highest_offset"]),
  };
}

function counts(v: Json | undefined): Counts {
  const o = object(v);
  return { ok: count(o["ok"]), fail: count(o["fail"]), info: count(o["info"]) };
}

function coverage(v: Json | undefined): Coverage {
  const o = object(v);
  return {
    asked: list(o["faults_asked"]).map(text),
    injected: count(o["faults_injected"]),
    witnessed: count(o["faults_witnessed"]),
    leaderKills: count(o["leader_kills"]),
    okSends: count(o["ok_sends_during_faults"]),
    okPolls: count(o["ok_polls_during_faults"]),
    finalRead: text(o["final_read"]) || "absent",
  };
}

/** The reasons of an unknown verdict: codes with their sentences, codes alone where there is none. */
function reasons(o: JsonObject): { code: string; message: string }[] {
  const detailed = list(o["reason_details"]).map((d) => ({
    code: text(object(d)["code"]),
    message: text(object(d)["message"]),
  }));
  const known = new Set(detailed.map((d) => d.code));
  const bare = list(o["reasons"])
    .map(text)
    .filter((code) => !known.has(code));
  return [...detailed, ...bare.map((code) => ({ code, message: "" }))];
}

/** Reads `report.json`; null when there is none. */
export function readReport(raw: Json): Report | null {
  if (raw === null || typeof raw !== "object" || Array.isArray(raw)) return null;
  const seen = object(raw["counts"]);
  const availability = object(raw["availability"]);
  const contract = object(raw["contract"]);
  const keys = list(seen["keys"]).map(keyCounts);
  const lag = object(raw["worst_realtime_lag"]);
  return {
    verdict: verdict(raw["verdict"]),
    headline: text(raw["headline"]),
    reasons: reasons(raw),
    notes: list(raw["notes"]).map(text),
    model: text(raw["model"]),
    operations: count(raw["operations"]),
    events: count(raw["events"]),
    story: list(raw["story"]).map((s) => ({ text: text(object(s)["text"]), ops: numbers(object(s)["ops"]) })),
    anomalies: anomalies(raw["anomalies"]),
    analyses: Object.entries(object(raw["analyses"])).map(([name, v]) => [name, text(v)]),
    sends: counts(seen["sends"]),
    polls: counts(seen["polls"]),
    acknowledged: count(seen["acknowledged"]),
    acknowledgedRead: count(seen["acknowledged_read"]),
    unseen: count(seen["unseen"]),
    lost: maybe(object(raw["confidence"])["lost"]) ?? keys.reduce((sum, k) => sum + k.lost, 0),
    polledRecords: maybe(seen["polled_records"]),
    keys,
    keysTotal: Math.max(keys.length, count(seen["keys_total"])),
    unseenSeries: list(seen["unseen_series"]).map((p) => ({
      time: count(object(p)["time"]),
      unseen: count(object(p)["unseen"]),
    })),
    errors: Object.entries(object(seen["errors"]))
      .map(([code, n]): [string, number] => [code, count(n)])
      .sort((a, b) => b[1] - a[1]),
    coverage: coverage(raw["coverage"]),
    formationMs: maybe(availability["formation_ms"]),
    faults: list(availability["faults"]).map(fault),
    longestGapMs: maybe(availability["longest_gap_ms"]),
    leaderChanges: maybe(availability["leader_changes"]),
    contract: {
      name: text(contract["name"]),
      config: object(contract["config"]),
      rules: list(contract["rules"]).map((r) => ({
        anomaly: text(object(r)["anomaly"]),
        judgement: judgement(object(r)["judgement"]),
        rule: text(object(r)["rule"]),
      })),
    },
    confidence: text(object(raw["confidence"])["statement"]),
    recall: text(object(raw["calibration"])["statement"]),
    lag: Object.keys(lag).length > 0 ? lag : null,
  };
}

/** The headline without the verdict that stands beside it, cut at its middle dots; the first part as a sentence begins. */
export function headlineParts(headline: string): string[] {
  const parts = headline
    .split(" · ")
    .map((p) => p.trim())
    .filter((p) => p !== "");
  const [lead, ...rest] = /^(invalid|valid|unknown)$/i.test(parts[0] ?? "") ? parts.slice(1) : parts;
  return lead === undefined ? [] : [lead.charAt(0).toUpperCase() + lead.slice(1), ...rest];
}

/** Cases that most likely have one cause: on the same topic-partition, next to the same fault. */
export interface Fold {
  /** Positions of the cases among the examples; the first stands for all. */
  members: number[];
  label: string;
}

export function foldsOf(examples: Example[]): Fold[] {
  const folds = new Map<string, Fold>();
  examples.forEach((e, i) => {
    // A case that names neither place nor fault has nothing to be folded by.
    const alike = e.key === null && e.fault === null ? `alone ${i}` : `${e.key} ${e.fault}`;
    const where = e.key === null ? "" : `on ${e.key}`;
    const when = e.fault === null ? "" : `next to fault ${e.fault}`;
    const fold = folds.get(alike) ?? { members: [], label: [where, when].filter(Boolean).join(", ") };
    fold.members.push(i);
    folds.set(alike, fold);
  });
  return [...folds.values()];
}

/** The case that is open on the page, else the first of the worst anomaly. */
export function currentCase(
  report: Report,
  open: { name: string; example: number } | null,
): { anomaly: Anomaly; example: Example } | null {
  const anomaly = report.anomalies.find((a) => a.name === open?.name) ?? report.anomalies[0];
  const example = anomaly?.examples[anomaly.name === open?.name ? open.example : 0];
  return anomaly && example ? { anomaly, example } : null;
}

/** All examples in the order of the page, for stepping through them. */
export const steps = (report: Report): { name: string; example: number }[] =>
  report.anomalies.flatMap((a) => a.examples.map((_, example) => ({ name: a.name, example })));

/** The step before or after the one that is open. */
export function step(
  report: Report,
  current: { name: string; example: number } | null,
  by: 1 | -1,
): { name: string; example: number } | null {
  const all = steps(report);
  const at = current === null ? -1 : all.findIndex((s) => s.name === current.name && s.example === current.example);
  if (at === -1) return (by === 1 ? all[0] : all.at(-1)) ?? null;
  return all[(at + by + all.length) % all.length] ?? null;
}
