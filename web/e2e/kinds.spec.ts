// What a report page shows of anomalies and runs that the demo's store has none of: circles, prefixes, goals, logs of
// ten million offsets, runs that are under way.

import { expect, type Page, type Route, test } from "@playwright/test";
import { json, mock, RUNS } from "./support/mock";
import { complaints, expectAccessibleInBoth, expectNoOverflow, SHOTS } from "./support/page";

const [run] = RUNS;
const ID = run?.id ?? "";

const op = (index: number, process: number, from: number, to: number | null, type: string, value: unknown[]) => ({
  invoke: { index, time: from * 1e6, process, type: "invoke", f: "txn", value },
  complete: to === null ? null : { index: index + 1, time: to * 1e6, process, type, f: "txn", value },
});

const OPERATIONS = [
  op(2, 0, 1000, 1020, "ok", [["send", "orders-0", [4, 11]]]),
  op(4, 1, 1005, 1030, "ok", [["send", "orders-1", [7, 21]]]),
  op(6, 2, 1010, null, "open", [["send", "orders-0", 12]]),
  op(8, 3, 1012, 1500, "info", [["send", "orders-0", 13]]),
  op(10, 0, 1600, 1700, "fail", [["send", "orders-0", 14]]),
];

const step = (from: number, to: number, type: string, text: string) => ({ from, to, type, text });

const anomaly = (judgement: string, title: string, example: object) => ({
  count: 1,
  violations: judgement === "violation" ? 1 : 0,
  judgement,
  rule: "Read committed excludes it.",
  title,
  analysis: "cycles",
  examples: [example],
});

const REPORT = {
  schema: "perjury.report/1",
  verdict: "invalid",
  headline: "INVALID · a circle of 3 operations · violates read committed",
  reasons: [],
  operations: 5,
  events: 12,
  model: "kafka",
  story: [{ text: "Two operations each saw what the other wrote.", ops: [3, 5] }],
  anomalies: {
    G1c: anomaly("violation", "circular information flow", {
      sentence: "Let T1 be operation 3, T2 be operation 5 and T3 be operation 6. Then …: a contradiction.",
      ops: [3, 5, 6],
      steps: [
        step(3, 5, "wr", "T2 polled 11, which T1 sent"),
        step(5, 6, "rw", "T2 did not see 12, which T3 sent"),
        step(6, 3, "realtime", "T3 ended before T1 began"),
      ],
    }),
    nonlinearizable: anomaly("violation", "no order explains the answers", {
      sentence: "Operation 9 cannot be placed.",
      key: "orders-0",
      offset: 4,
      ops: [9, 3, 11],
      prefix_end: 9,
      prefix: [2, 4],
      prefix_length: 40,
      attempts: [{ tail: [{ invoke: 2, ret: 3 }], state: "{11}", why: "operation 9 read 13, which nobody had sent" }],
    }),
  },
  analyses: { cycles: "invalid", "lost-write": "valid", linear: "unknown" },
  counts: { keys: [{ key: "orders-0", acknowledged: 9_999_999, read: 9_999_999, unseen: 0, lost: 0 }] },
  coverage: { final_read: "completed" },
  contract: { name: "kafka", config: {}, rules: [] },
  confidence: { statement: "" },
  goals: [
    { name: "formation", aim: "at most 10000 ms", measured: "187 ms", met: true },
    { name: "election", aim: "less than 2000 ms", measured: "2310 ms", met: false },
    { name: "first acknowledged write after the kill", aim: "", measured: "2400 ms" },
  ],
};

const TIMELINE = {
  duration: 3e9,
  from: 0,
  to: 3e9,
  points: OPERATIONS.map((o) => ({
    i: o.invoke.index + 1,
    t: o.invoke.time,
    ms: o.complete ? 20 : null,
    f: "txn",
    type: o.complete?.type ?? "info",
    key: "orders-0",
  })),
  operations: 5,
  sampled: false,
  bands: [
    {
      fault: 0,
      f: "kill",
      target: "leader",
      nodes: [2],
      key: "orders-0",
      start: 1.1e9,
      injected: 1.1e9,
      end: 1.4e9,
      healed: true,
      witnessed: true,
      why: null,
    },
  ],
  leaders: [{ t: 1.3e9, topic: "orders", partition: 0, from: 2, to: 3, epoch: 4 }],
  marks: [],
  rate: [],
  rate_step: 1e9,
};

const detail = (status: string) => ({
  summary: { ...run, status, verdict: status === "running" ? null : "invalid" },
  report: status === "running" ? null : REPORT,
  plan: null,
  header: { versions: { perjury: "0.1.0" } },
  files: [{ path: "history.jsonl", bytes: 100 }],
  nodes: [],
  path: `store/${ID}`,
});

/** A log of ten million offsets, answered window by window. */
const TEN_MILLION = 10_000_000;
function longLog(asked: number[]) {
  return (route: Route) => {
    const params = new URL(route.request().url()).searchParams;
    const [from, to] = [Number(params.get("from")), Math.min(Number(params.get("to")), TEN_MILLION - 1)];
    asked.push(to - from + 1);
    const seen = (i: number, process: number, value: number) => ({ i, process, type: "ok", value, t: 1 });
    const rows = Array.from({ length: to - from + 1 }, (_, i) => ({
      offset: from + i,
      writes: [seen(2, 0, from + i)],
      reads: [seen(4, 1, from + i)],
      hidden_reads: 0,
    }));
    return json({ key: "orders-0", from, to, highest: TEN_MILLION - 1, observers: [1, 2], rows })(route);
  };
}

async function open(page: Page, status: string, asked: number[] = []): Promise<void> {
  const base = `/runs/${ID}`;
  const events = [1, 2, 3].map((i) => ({
    run: ID,
    phase: "faults",
    elapsed_ms: 1000 * i,
    operations: 400 * i,
    ok: 390 * i,
    fail: 4 * i,
    info: 6 * i,
    ops_per_s: 400 + i,
    faults: i,
    leaders: { "orders-0": 3 },
    verdict: "invalid",
    violations: [{ anomaly: "lost-write", operation: 3 }],
    lines: ["12:04:33 fault 1: kill node 2"],
  }));
  await mock(page, {
    [base]: json(detail(status)),
    [`${base}/timeline`]: json(TIMELINE),
    [`${base}/operations`]: (route) => {
      const wanted = new URL(route.request().url()).searchParams.get("index")?.split(",").map(Number);
      const operations = wanted
        ? OPERATIONS.filter((o) => wanted.includes(o.invoke.index) || wanted.includes(o.invoke.index + 1))
        : OPERATIONS;
      return json({ operations, total: operations.length, before: 0, next: null })(route);
    },
    [`${base}/log`]: longLog(asked),
    [`${base}/events`]: (route) =>
      route.fulfill({
        contentType: "text/event-stream",
        body: events.map((e) => `event: progress\ndata: ${JSON.stringify(e)}\n\n`).join(""),
      }),
  });
  await page.goto(`/runs/${ID}`);
}

test("a circle of operations is drawn, with a sentence for each edge", async ({ page }) => {
  const errors = complaints(page);
  await open(page, "complete");
  const proof = page.locator("#proof");
  await expect(proof.getByRole("group", { name: /A circle of 3 operations: T1 before T2 \(wr\)/ })).toBeVisible();
  await expect(proof.locator(".cycle-steps li")).toHaveCount(3);
  await expect(proof.locator(".cycle-steps li").last()).toContainText(
    "However, T3 < T1 because T3 ended before T1 began",
  );
  await expect(proof).toContainText("A contradiction");
  await expect(page.getByRole("row", { name: /election/ })).toContainText("missed");
  await expect(page.getByRole("row", { name: /formation/ })).toContainText("met");
  await expect(page.locator("#sure")).toContainText("1 could not decide");
  await page.screenshot({ path: `${SHOTS}/cycle.png`, fullPage: true });
  await expectAccessibleInBoth(page);
  await proof.getByRole("link", { name: "T3: operation 6" }).click();
  await expect(page).toHaveURL(/op=6/);
  expect(errors).toEqual([]);
});

test("the longest linearizable prefix and operations of every outcome are drawn", async ({ page }) => {
  const errors = complaints(page);
  await open(page, "complete");
  const proof = page.locator("#proof");
  await expect(proof).toBeVisible();
  await page.keyboard.press("n");
  await page.keyboard.press("n");
  await expect(proof.getByRole("region", { name: "Longest linearizable prefix" })).toContainText(
    "40 operations before event 9 can be put into an order",
  );
  await expect(proof).toContainText("operation 9 read 13, which nobody had sent");
  await expect(proof.getByRole("link", { name: /Operation 9 of process 3: .*info/ })).toBeVisible();
  await expect(proof.getByRole("link", { name: /Operation 11 of process 0: .*fail/ })).toBeVisible();
  await expect(proof.getByLabel("Leaders of orders-0")).toBeVisible();
  await proof.getByText("This picture as a table").click();
  await expect(proof.getByRole("row", { name: /op 9/ })).toContainText("info");
  await page.screenshot({ path: `${SHOTS}/prefix.png`, fullPage: true });
  await page.setViewportSize({ width: 400, height: 800 });
  await expectNoOverflow(page);
  expect(errors).toEqual([]);
});

test("a log of ten million offsets is scrolled by windows", async ({ page }) => {
  const errors = complaints(page);
  const asked: number[] = [];
  await open(page, "complete", asked);
  const box = page.getByTestId("log-box");
  await expect(box).toHaveAttribute("aria-label", "Log of orders-0: offsets 0 to 9999999");
  await box.focus();
  await page.keyboard.press("End");
  await expect(box.getByRole("rowheader", { name: "9999999" })).toBeInViewport();
  await page.getByLabel("Offset", { exact: true }).fill("5000000");
  await page.getByRole("button", { name: "Go" }).click();
  await expect(box.locator("tr.here")).toContainText("5000000");
  await expect(box.locator("tr.here").locator(".op-link").first()).toBeVisible();
  await page.keyboard.press("Tab");
  // The scroll bar reaches every part, though no element is ten million rows high.
  await box.evaluate((e) => (e.scrollTop = e.scrollHeight / 4));
  await expect.poll(async () => Number(await box.locator("tbody th").first().innerText())).toBeGreaterThan(2_000_000);
  expect(await box.locator("tbody tr").count()).toBeLessThanOrEqual(16);
  expect(asked.length).toBeLessThan(20);
  expect(Math.max(...asked)).toBeLessThanOrEqual(200);
  expect(errors).toEqual([]);
});

test("a run under way is shown live", async ({ page }) => {
  const errors = complaints(page);
  await open(page, "running");
  const live = page.getByTestId("live");
  await expect(live.getByTestId("live-operations")).toHaveText("1,200");
  await expect(live).toContainText("lost-write");
  await expect(live).toContainText("node 3");
  await expectAccessibleInBoth(page);
  await page.screenshot({ path: `${SHOTS}/live.png` });
  await live.getByRole("link", { name: "op 3" }).click();
  await expect(page.getByTestId("drawer")).toBeVisible();
  expect(errors).toEqual([]);
});
