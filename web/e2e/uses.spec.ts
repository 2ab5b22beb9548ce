// The three uses, on a real server over a store with a valid and an invalid run: a campaign from the browser, from a
// search to the node's log lines, and the evidence on a machine without a network.

import { readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, type Page, test } from "@playwright/test";
import { unzipSync } from "fflate";
import { complaints, expectAccessibleInBoth, SHOTS } from "./support/page";

interface Listed {
  id: string;
  verdict: string;
  headline: string;
  anomalies: Record<string, number>;
}

async function invalidRun(page: Page): Promise<Listed> {
  const answer = await page.request.get("/api/v1/runs?verdict=invalid&name=e2e-broken");
  const [run] = ((await answer.json()) as { runs: Listed[] }).runs;
  if (!run) throw new Error("the store has no invalid run");
  return run;
}

const PLAN = `name = "from-the-browser"
seeds = [7]

[run]
time_limit = "8s"
final_time_limit = "20s"
rate = 200
concurrency = 6
nemesis = ["kill"]
nemesis_interval = "2s"
`;

test("a campaign is started from the browser and watched live", async ({ page }) => {
  test.setTimeout(240_000);
  const errors = complaints(page);
  await page.goto("/");
  await page.getByRole("link", { name: "New campaign" }).click();
  // The plans that come along are accepted as they are.
  await expect(page.getByTestId("plan-ok")).toContainText("run");
  await page.screenshot({ path: `${SHOTS}/use-plan.png`, fullPage: true });
  await expectAccessibleInBoth(page);
  const text = page.getByRole("textbox", { name: "Plan, as TOML" });
  await text.fill(PLAN.replace("rate = 200", 'rate = "fast"'));
  await expect(page.getByRole("list", { name: "Errors in the plan" }).getByRole("button").first()).toBeVisible();
  await text.fill(PLAN);
  await page.getByLabel("Name of the campaign").fill("from-the-browser");
  await expect(page.getByTestId("plan-ok")).toContainText("1 run");
  await page.getByRole("button", { name: "Start the campaign" }).click();

  await expect(page).toHaveURL(/\/campaigns\/[^/]+$/);
  await expect(page.getByTestId("campaign")).toContainText("from-the-browser");
  const live = page.getByTestId("live");
  await expect(live).toBeVisible({ timeout: 60_000 });
  await expect
    .poll(() => numberIn(live.getByTestId("live-operations").innerText()), { timeout: 60_000 })
    .toBeGreaterThan(0);
  await page.screenshot({ path: `${SHOTS}/use-live.png`, fullPage: true });

  // The run's own page follows it to the verdict.
  await live.getByRole("link").first().click();
  await expect(page).toHaveURL(/\/runs\/from-the-browser/);
  await expect(page.getByTestId("verdict")).toContainText(/^(valid|unknown|invalid)/i, { timeout: 150_000 });
  await expect(page.locator("#timeline canvas").first()).toBeVisible();
  await page.screenshot({ path: `${SHOTS}/use-verdict.png` });
  await page.goto("/campaigns");
  await expect(page.getByRole("row", { name: /from-the-browser/ })).toContainText("done", { timeout: 60_000 });
  await expectAccessibleInBoth(page);
  expect(errors).toEqual([]);
});

const numberIn = async (text: Promise<string>) => Number((await text).replace(/\D/g, ""));

test("an anomaly is found by search and followed to its operations, its fault and the nodes' lines", async ({
  page,
}) => {
  const errors = complaints(page);
  const run = await invalidRun(page);
  const name = Object.keys(run.anomalies)[0] ?? "";
  await page.goto("/");
  await page.getByRole("searchbox", { name: "Search runs" }).fill(`${name} e2e-broken`);
  const row = page.getByRole("row", { name: /e2e-broken/ }).first();
  await expect(row).toContainText("invalid");
  await row.getByRole("link").first().click();

  await expect(page.locator("#anomalies")).toBeVisible();
  await expect(page.locator("#timeline canvas").nth(1)).toBeVisible();
  await page.keyboard.press("n");
  await expect(page).toHaveURL(/#anomaly=/);
  const body = page.locator(".example-body").first();
  await expect(body.getByTestId("operation").first()).toBeVisible();
  await expect(body.getByText(/Nearby: fault \d+, kill/)).toBeVisible();
  await body.getByRole("button", { name: "Show on the charts" }).click();
  await expect(page).toHaveURL(/from=\d+&to=\d+/);
  await body.getByText("Node log lines from 2 s before").click();
  await expect(body.getByRole("region", { name: "Node log lines" }).locator("tbody tr").first()).toBeVisible();
  await page.screenshot({ path: `${SHOTS}/use-anomaly.png`, fullPage: true });

  const meaning = page.locator("#anomalies .meaning").first();
  await meaning.getByText("What it means").click();
  await expect(meaning).toContainText("Likely causes");
  expect(errors).toEqual([]);
});

test("the evidence shows the same verdict from the disk with the network cut", async ({ page, context }) => {
  const errors = complaints(page);
  const run = await invalidRun(page);
  await page.goto(`/runs/${run.id}`);
  const told = (await page.getByTestId("verdict").textContent()) ?? "";
  expect(told).not.toBe("");
  const waiting = page.waitForEvent("download", { timeout: 100_000 });
  await page.getByRole("link", { name: "Download the evidence" }).click();
  const download = await waiting;
  const path = resolve("test-results", "evidence.zip");
  await download.saveAs(path);
  const members = unzipSync(new Uint8Array(await readFile(path)));
  const names = Object.keys(members);
  expect(names.some((n) => n.endsWith("manifest.json"))).toBe(true);
  const html = names.find((n) => n.endsWith("report.html")) ?? "";
  const report = members[html];
  if (!report) throw new Error(`the bundle has no report.html but ${names.join()}`);
  expect(report.byteLength).toBeLessThan(5_000_000);
  const file = resolve("test-results", "evidence-report.html");
  await writeFile(file, report);

  await context.setOffline(true);
  const asked: string[] = [];
  page.on("request", (r) => {
    if (!/^(file|data|blob):/.test(r.url())) asked.push(r.url());
  });
  await page.goto(pathToFileURL(file).href);
  await expect(page.getByTestId("verdict")).toHaveText(told);
  await page.keyboard.press("n");
  await expect(page.locator(".example-body").getByTestId("operation").first()).toBeVisible();
  await page.screenshot({ path: `${SHOTS}/use-evidence.png`, fullPage: true });
  await expectAccessibleInBoth(page);
  expect(asked).toEqual([]);
  expect(errors).toEqual([]);
});

test("the glossary explains every anomaly of the catalogue", async ({ page }) => {
  const errors = complaints(page);
  await page.goto("/glossary");
  await expect(page.getByRole("article").nth(20)).toBeVisible();
  await expect(page.getByRole("article", { name: /lost-write/ }).first()).toContainText("Likely causes");
  await expect(page.getByText("A history that shows it").first()).toBeVisible();
  await expectAccessibleInBoth(page);
  await page.screenshot({ path: `${SHOTS}/use-glossary.png` });
  expect(errors).toEqual([]);
});

test("runs of the store are grouped, and two of them compared", async ({ page }) => {
  const errors = complaints(page);
  await page.goto("/?group=name");
  await expect(page.getByRole("button", { name: "e2e-broken" })).toBeVisible();
  await expect(page.getByRole("img", { name: /judged run/ }).first()).toBeVisible();
  await page.goto("/?q=e2e");
  const boxes = page.getByRole("checkbox", { name: /Compare e2e/ });
  await boxes.nth(0).check();
  await boxes.nth(1).check();
  await page.getByRole("button", { name: "Compare", exact: true }).click();
  await expect(page.getByRole("article", { name: "Run A" })).toBeVisible();
  await expect(page.locator("#settings")).toContainText("ack-before-replication");
  await expectAccessibleInBoth(page);
  await page.screenshot({ path: `${SHOTS}/use-compare.png`, fullPage: true });
  expect(errors).toEqual([]);
});
