// Answers of the API in the shapes of its contract, for states that a real server reaches only with patience: no runs,
// a wrong token, a campaign in each of its states.

import type { Page, Route } from "@playwright/test";

export const json =
  (body: unknown, status = 200) =>
  (route: Route) =>
    route.fulfill({ status, contentType: "application/json", body: JSON.stringify(body) });

export const refuse = (status: number, code: string, message: string, hint: string) =>
  json({ error: { code, message, hint } }, status);

const run = (name: string, time: string, verdict: string | null, more: object = {}) => ({
  id: `${name}/${time}`,
  name,
  time,
  status: verdict === null ? "running" : "complete",
  verdict,
  reasons: [],
  operations: 20_144,
  anomalies: verdict === "invalid" ? { "lost-write": 3, unseen: 3 } : {},
  violations: verdict === "invalid" ? 3 : 0,
  headline:
    verdict === "invalid"
      ? "INVALID · 3 acknowledged records lost on orders-2 · acks=all, 3 replicas"
      : verdict === "valid"
        ? "VALID · nothing lost in 20,144 operations and 5 leader kills"
        : null,
  workload: "queue",
  nemesis: ["kill"],
  seed: 7,
  cluster: "testbed",
  bugs: verdict === "invalid" ? ["ack-before-replication"] : [],
  started: "2026-11-23T12:04:31.207Z",
  finished: verdict === null ? null : "2026-11-23T12:05:31.207Z",
  problem: null,
  ...more,
});

export const RUNS = [
  run("nightly", "20261123T120431.207Z", "invalid"),
  run("nightly", "20261122T120431.207Z", "valid"),
  run("nightly", "20261121T120431.207Z", "unknown", { reasons: ["no-fault-witnessed"] }),
  run("smoke", "20261123T110431.207Z", "valid"),
];

export const SESSION = { authenticated: false, role: null, open: true, csrf: "c5rf", only: null };

const estimate = { violations: 3, judged: 12, interval: [0.0549, 0.5719] };

export const TREND = {
  name: "nightly",
  points: Array.from({ length: 14 }, (_, i) => ({
    id: `nightly/202611${String(10 + i)}T120431.207Z`,
    started: `2026-11-${10 + i}T12:04:31.207Z`,
    verdict: i % 4 === 3 ? "invalid" : i % 7 === 5 ? "unknown" : "valid",
  })),
  ...estimate,
  flakes: 2,
  by_version: [
    { version: "2.9.0", violations: 3, judged: 6, interval: [0.1181, 0.8819] },
    { version: "2.10.4", violations: 0, judged: 6, interval: [0, 0.4593] },
  ],
};

export const COMPARISON = {
  a: RUNS[0],
  b: RUNS[1],
  settings: [
    { path: "cluster.bugs", a: ["ack-before-replication"], b: [] },
    { path: "workload.rate", a: 400, b: 800 },
  ],
  figures: [
    { name: "operations", unit: null, a: 20_144, b: 40_102 },
    { name: "longest gap", unit: "ms", a: 812, b: 640 },
    { name: "lost", unit: null, a: 3, b: 0 },
  ],
  anomalies: [{ name: "lost-write", a: 3, b: 0, judgement: "violation" }],
};

export const PLAN = `name = "leader-kills"
repeats = 2

[cluster]
driver = "testbed"
nodes = 3

[workload]
kind = "queue"
rate = 400

[nemesis]
kinds = ["kill"]
target = "leader"
`;

const SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Plan",
  type: "object",
  required: ["name"],
  additionalProperties: false,
  properties: {
    name: { type: "string", description: "What the plan is called; runs carry it." },
    repeats: { type: "integer", minimum: 1, default: 1, description: "How often each combination is run." },
    seeds: { type: "array", items: { type: "integer" }, description: "The seeds; drawn anew where none is given." },
    cluster: {
      type: "object",
      description: "What is started and broken.",
      properties: {
        driver: { enum: ["testbed", "kafka", "chronik"], default: "testbed", description: "Which cluster." },
        nodes: { type: "integer", minimum: 1, default: 3, description: "How many nodes it has." },
      },
    },
    workload: {
      type: "object",
      properties: {
        kind: { enum: ["queue", "txn", "group"], default: "queue" },
        rate: { type: "integer", default: 400, description: "Operations per second." },
      },
    },
    nemesis: {
      type: "object",
      properties: {
        kinds: { type: "array", items: { enum: ["kill", "pause", "partition"] } },
        target: { enum: ["leader", "follower", "all"], default: "leader" },
      },
    },
  },
};

const campaignRuns = [
  { state: "done", run: RUNS[0]?.id, verdict: "invalid" },
  { state: "done", run: RUNS[1]?.id, verdict: "valid" },
  { state: "running", run: "nightly/20261123T130000.000Z", verdict: null },
  { state: "queued", run: null, verdict: null },
].map((r, index) => ({ index, ...r, seed: 100 + index, summary: "testbed · queue · kill leader · acks=all" }));

export const campaign = (state: string) => ({
  id: "20261123-1",
  name: "leader-kills",
  state,
  created: "2026-11-23T12:00:00.000Z",
  toml: PLAN,
  runs: campaignRuns.map((r) =>
    state === "running" || r.state === "done"
      ? r
      : { ...r, state: state === "cancelled" ? "cancelled" : "queued", run: null },
  ),
  counts: { total: 4, done: 2, invalid: 1, valid: 1, running: 1, queued: 1 },
  estimate: { violations: 1, judged: 2, interval: [0.0126, 0.9874] },
});

const PROGRESS = Array.from({ length: 6 }, (_, i) => ({
  run: "nightly/20261123T130000.000Z",
  phase: i < 1 ? "formation" : "faults",
  elapsed_ms: 1000 * (i + 1),
  operations: 390 * i,
  ok: 380 * i,
  fail: 4 * i,
  info: 6 * i,
  ops_per_s: 380 + 12 * (i % 3),
  faults: Math.floor(i / 2),
  leaders: { "orders-0": 1, "orders-1": 2, "orders-2": i < 3 ? 2 : 3 },
  verdict: i < 5 ? "unknown" : "invalid",
  violations: i < 5 ? [] : [{ anomaly: "lost-write", operation: 812 }],
  lines: [`12:04:3${i} INFO fault 1: kill node 2 (leader of orders-2)`],
}));

const events = PROGRESS.map((p) => `event: progress\ndata: ${JSON.stringify(p)}\n\n`).join("");

export const GLOSSARY = {
  anomalies: [
    {
      name: "lost-write",
      title: "an acknowledged record that was passed over",
      group: "queue",
      what: "A record was acknowledged, reads went past its place, and nobody ever read it.",
      why: "Data that the producer was told is safe is gone.",
      how: "Per topic-partition: every acknowledged value below the highest offset that was read must have been read.",
      contract: "A violation with acks=all, min.insync.replicas of at least 2 and no unclean election.",
      causes: ["acknowledgement before replication", "an unclean leader election", "an fsync that was skipped"],
      actions: ["Set `acks=all` and `min.insync.replicas=2`.", "Look at the leader change next to the fault."],
      source: "Jepsen, tests.kafka",
      example: {
        file: "lost-write/acks-1-leader-crash.jsonl",
        jsonl: '{"format":"1.0"}\n{"index":0,"type":"invoke","f":"send"}\n',
      },
    },
    {
      name: "G1c",
      title: "circular information flow",
      group: "transactions",
      what: "Two operations each saw what the other wrote.",
      why: "No order of the operations explains what clients saw.",
      how: "A circle of write-write and write-read dependencies.",
      contract: "A violation of read committed.",
      causes: ["transactions that are not isolated"],
      actions: ["Read the circle sentence by sentence."],
      source: "Adya (1999)",
      example: null,
    },
  ],
};

const validate = (route: Route) => {
  const { toml } = route.request().postDataJSON() as { toml: string };
  const line = toml.split("\n").findIndex((l) => l.includes("rate = -")) + 1;
  const errors =
    line > 0
      ? [{ path: "workload.rate", line, message: "a rate is at least 1", hint: "Give operations per second." }]
      : [];
  const runs =
    line > 0 ? [] : [1, 2].map((i) => ({ name: `leader-kills #${i}`, summary: `testbed · queue · seed ${100 + i}` }));
  return json({ ok: errors.length === 0, errors, runs })(route);
};

/** The whole API over a store with a few runs; `more` replaces single routes, by the path after /api/v1. */
export async function mock(page: Page, more: Record<string, (route: Route) => Promise<void>> = {}): Promise<void> {
  const verdicts = { invalid: 1, valid: 2, unknown: 1, none: 0 };
  const groups = ["nightly", "smoke"].map((name) => ({
    name,
    runs: name === "nightly" ? 14 : 1,
    invalid: name === "nightly" ? 3 : 0,
    valid: name === "nightly" ? 9 : 1,
    unknown: name === "nightly" ? 2 : 0,
    latest: RUNS.find((r) => r.name === name) ?? null,
  }));
  const routes: Record<string, (route: Route) => Promise<void>> = {
    "/session": json(SESSION),
    "/runs": json({ runs: RUNS, total: RUNS.length, stored: RUNS.length, verdicts, groups }),
    "/trends": json(TREND),
    "/compare": json(COMPARISON),
    "/plans/schema": json(SCHEMA),
    "/plans/named": json([
      { name: "leader-kills", summary: "Kills the leader of a topic-partition, again and again.", toml: PLAN },
      { name: "pauses", summary: "Pauses nodes for seconds.", toml: PLAN.replace('"kill"', '"pause"') },
    ]),
    "/plans/validate": validate,
    "/campaigns": (route) =>
      route.request().method() === "POST"
        ? json({ id: "20261123-1" }, 201)(route)
        : json({ items: [campaign("running")], total: 1, offset: 0, limit: 50 })(route),
    "/campaigns/20261123-1": json(campaign("running")),
    "/glossary": json(GLOSSARY),
    "/events": (route) => route.fulfill({ contentType: "text/event-stream", body: events }),
    ...more,
  };
  await page.route("**/api/v1/**", (route) => {
    const path = new URL(route.request().url()).pathname.replace("/api/v1", "");
    const known = routes[decodeURIComponent(path)];
    return known ? known(route) : refuse(404, "not-found", `nothing is mocked at ${path}`, "Add it.")(route);
  });
}
