// What the API answers: the shapes of `crates/server`, and the report of `crates/checker` as far as pages use it.

export type Verdict = "valid" | "invalid" | "unknown";
export type RunStatus = "complete" | "running" | "interrupted" | "unchecked" | "unreadable";
export type Judgement = "violation" | "allowed" | "unspecified";
export type Outcome = "ok" | "fail" | "info";

/** A key or a value of a history: an integer or a text. Integers beyond 2^53 arrive as text. */
export type Scalar = number | string;
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export interface RunSummary {
  id: string;
  name: string;
  time: string;
  status: RunStatus;
  verdict: string | null;
  reasons: string[];
  operations: number | null;
  anomalies: Record<string, number>;
  violations: number;
  headline: string | null;
  workload: string | null;
  nemesis: string[];
  seed: Scalar | null;
  cluster: string | null;
  bugs: string[];
  started: string | null;
  finished: string | null;
  problem: string | null;
}

export interface RunList {
  runs: RunSummary[];
  total: number;
  stored: number;
  verdicts: Record<Verdict | "none", number>;
  /** With `group=name`: the runs of each name counted. */
  groups?: RunGroup[];
}

/** All runs of one name that match. */
export interface RunGroup {
  name: string;
  runs: number;
  invalid: number;
  valid: number;
  unknown: number;
  latest: RunSummary | string | null;
}

export interface FileEntry {
  path: string;
  bytes: number;
}

export interface RunDetail {
  summary: RunSummary;
  report: Json;
  plan: Json;
  header: JsonObject | null;
  files: FileEntry[];
  nodes: string[];
  /** Whether it stays whatever the rules of retention say; a one-file report does not know. */
  pinned?: boolean;
  path: string;
}

export interface KeepRules {
  days?: number;
  newest?: number;
}

/** What the rules of retention would delete now. */
export interface Retention {
  rules: KeepRules;
  plans: Record<string, KeepRules>;
  active: boolean;
  total: number;
  would_go: string[];
  every_s: number;
  last: { at: string; gone: number; runs: string[] } | null;
}

export interface Point {
  i: number;
  t: number;
  ms: number | null;
  f: string;
  type: Outcome;
  key: string | null;
}

export interface Band {
  fault: number;
  f: string;
  target: Json;
  nodes: Json;
  key: Json;
  start: number;
  injected: number | null;
  end: number;
  healed: boolean;
  witnessed: boolean | null;
  why: string | null;
}

export interface Leader {
  t: number;
  topic: Json;
  partition: Json;
  from: Json;
  to: Json;
  epoch: Json;
}

export interface Mark {
  t: number;
  kind: "phase" | "node-up" | "node-down";
  label: string;
}

export interface Rate {
  t: number;
  ok: number;
  fail: number;
  info: number;
}

export interface Timeline {
  duration: number;
  from: number;
  to: number;
  points: Point[];
  operations: number;
  sampled: boolean;
  bands: Band[];
  leaders: Leader[];
  marks: Mark[];
  rate: Rate[];
  rate_step: number;
}

/** One row of a history. Fields that are not named here are kept, whatever they are. */
export interface HistoryEvent {
  index: number;
  time?: number;
  process?: number | string;
  type: Outcome | "invoke";
  f: string;
  value?: Json;
  error?: { code: string; message?: string };
  [other: string]: Json | undefined;
}

export interface Operation {
  invoke: HistoryEvent | null;
  complete: HistoryEvent | null;
  hidden_records?: number;
}

export interface OperationPage {
  operations: Operation[];
  total: number;
  before: number;
  next: number | null;
}

export interface LogSeen {
  i: number;
  process: number | string | null;
  type: Outcome;
  value: Scalar;
  t: number | null;
  final?: boolean;
}

export interface LogRow {
  offset: number;
  writes: LogSeen[];
  reads: LogSeen[];
  hidden_reads: number;
}

export interface LogView {
  key: Scalar;
  from: number;
  to: number;
  highest: number | null;
  observers: (number | string)[];
  rows: LogRow[];
}

export interface NodeLine {
  node: string;
  stream: "stdout" | "stderr";
  at: string | null;
  text: string;
  t: number | null;
}

export interface NodeLog {
  lines: NodeLine[];
  more: boolean;
}

/** How often runs of one plan ended in a violation. `interval`: bounds of the probability at 95 % confidence. */
export interface Estimate {
  violations: number;
  judged: number;
  interval: [number, number] | null;
}

export interface Trend extends Estimate {
  name: string;
  /** `gone`: deleted, and counted all the same from the record that is left. */
  points: { id: string; started?: string | null; started_ms?: number; verdict: string | null; gone?: boolean }[];
  /** Runs without a verdict that says anything: unknown, interrupted. */
  flakes: number;
  by_version: ({ version: string | null } & Estimate)[];
}

export interface Comparison {
  a: RunSummary;
  b: RunSummary;
  settings: { path: string; a: Json; b: Json }[];
  figures: { name: string; unit: string | null; a: number | null; b: number | null }[];
  anomalies: { name: string; a: number; b: number; judgement: Judgement }[];
}

export interface NamedPlan {
  name: string;
  summary: string;
  toml: string;
}

export interface PlanProblem {
  path: string;
  line: number | null;
  message: string;
  hint: string | null;
}

export interface PlanCheck {
  ok: boolean;
  errors: PlanProblem[];
  runs: { name: string; summary: string; seed?: Scalar | null }[];
  /** How many runs there are, also when not all are named. */
  total?: number;
}

export type CampaignState = "queued" | "running" | "paused" | "cancelled" | "done" | "interrupted";

export interface CampaignRun {
  index: number;
  state: "queued" | "running" | "done" | "interrupted" | "cancelled";
  /** `name/time`, once it has a directory. */
  run: string | null;
  verdict: string | null;
  seed: Scalar | null;
  summary: string | null;
  /** What went wrong. */
  problem?: string | null;
  /** Attempts that were cut short and do not count. */
  earlier?: string[];
}

export interface Campaign {
  id: string;
  name: string;
  state: CampaignState;
  created: string | null;
  toml?: string;
  runs?: CampaignRun[];
  counts?: Record<string, number>;
  estimate?: Estimate | null;
}

/** What a run says of itself while it is under way. */
export interface Progress {
  run: string;
  phase: string;
  elapsed_ms: number;
  operations: number;
  ok: number;
  fail: number;
  info: number;
  ops_per_s: number;
  faults: number;
  leaders: Record<string, number>;
  verdict: string;
  violations: { anomaly: string; operation: number | null; sentence?: string }[];
  /** All of them; the list is short. */
  violations_total: number;
  acknowledged: number;
  /** Acknowledged records that reads went past and nobody has read: what is left of them at the end is lost. */
  passed_over: number;
  lines: string[];
}

/** How many of so many runs accused the cluster, with the interval of that probability at 95 %. */
export interface Recall {
  found: number;
  runs: number;
  interval: [number, number];
}

/** A bug under one workload and fault. */
export interface CalibrationCell {
  bug: string;
  workload: string;
  fault: string;
  target: string;
  at_rest: boolean;
  recall: Recall;
  as_expected: number;
  missed: Scalar[];
  median_ms: number | null;
  median_operations: number | null;
  anomalies: Record<string, number>;
  noted: Record<string, number>;
}

export interface Calibration {
  id: string;
  made: string;
  perjury: string;
  complete: boolean;
  runs: number;
  took_ms: number;
  statement: string;
  bugs: { bug: string; summary: string; imitates: string; expected: string[]; recall: Recall; always: boolean }[];
  cells: CalibrationCell[];
  not_run: { bug: string; why: string }[];
  accused: Recall;
  clean_unknown: number;
  clean: { workload: string; fault: string; target: string; accused: Recall; unknown: number }[];
  false_positives: { key: string; anomalies: string[]; run: string | null }[];
}

/** A calibration as the list shows it. */
export interface CalibrationLine {
  id: string;
  made: string;
  complete: boolean;
  statement: string;
}

export interface GlossaryEntry {
  name: string;
  title: string;
  group: string;
  what: string;
  why: string;
  how: string;
  contract: string;
  causes: string[];
  actions: string[];
  source: string;
  example: { file: string; jsonl: string } | null;
}

export interface Glossary {
  anomalies: GlossaryEntry[];
}

export type Role = "admin" | "run" | "read";

export interface Session {
  authenticated: boolean;
  role: Role | null;
  /** No token exists yet and the server listens on loopback alone: whoever reaches it may do everything. */
  open: boolean;
  csrf: string | null;
  /** The one run that a share link shows; nothing else may be asked. */
  only?: string | null;
}
