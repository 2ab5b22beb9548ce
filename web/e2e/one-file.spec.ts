// The report as one file: opened from the disk with the network cut, it shows what the server's page shows.

import { expect, test } from "@playwright/test";
import { dataOf, fill, template } from "./support/one-file";
import { complaints, expectAccessibleInBoth, SHOTS } from "./support/page";

async function invalidRun(page: import("@playwright/test").Page): Promise<string> {
  const answer = await page.request.get("/api/v1/runs?verdict=invalid");
  const [run] = ((await answer.json()) as { runs: { id: string }[] }).runs;
  if (!run) throw new Error("the store has no invalid run");
  return run.id;
}

test("it shows the run from the disk, without any request", async ({ page, context }) => {
  const errors = complaints(page);
  const id = await invalidRun(page);
  const { url, bytes } = await fill(await dataOf(page, id), "one-file.html");
  expect(bytes, "bytes of the file").toBeLessThan(5_000_000);
  await context.setOffline(true);
  const asked: string[] = [];
  page.on("request", (r) => {
    if (!/^(file|data|blob):/.test(r.url())) asked.push(r.url());
  });
  await page.goto(url);
  await expect(page.getByTestId("verdict")).toContainText(/invalid/i);
  await expect(page.locator("#story li").first()).toBeVisible();
  await expect(page.locator(".proof-op").first()).toBeVisible();
  await expect(page.locator("#timeline canvas").first()).toBeVisible();
  await expect(page.getByTestId("log-box").locator(".op-link").first()).toBeVisible();

  await page.keyboard.press("n");
  await expect(page).toHaveURL(/#anomaly=/);
  const operation = page.locator(".example-body").getByTestId("operation").first();
  await expect(operation).toBeVisible();
  await operation.locator(".op-link").first().click();
  await expect(page.getByTestId("drawer").getByTestId("operation")).toBeVisible();
  const open = page.url();
  await page.reload();
  await expect(page.getByTestId("drawer").getByTestId("operation")).toBeVisible();
  expect(page.url()).toBe(open);
  await page.keyboard.press("Escape");

  await page.getByRole("searchbox", { name: "Search operations" }).fill("f:poll type:ok");
  await expect(page.locator(".ops tbody tr td:nth-child(5)").first()).toHaveText("poll");
  await expect(page.locator("#take-away")).toContainText("5ea1ed");
  await expect(page.getByRole("link", { name: "Campaigns" })).toHaveCount(0);
  await expect(page.getByRole("link", { name: "Download the evidence" })).toHaveCount(0);
  await expectAccessibleInBoth(page);
  await page.screenshot({ path: `${SHOTS}/one-file.png`, fullPage: true });
  expect(asked).toEqual([]);
  expect(errors).toEqual([]);
});

test("text from a broker stays text", async ({ page }) => {
  const errors = complaints(page);
  const data = await dataOf(page, await invalidRun(page));
  const nasty = `</script><script>document.title="owned"</script><img src=x onerror="document.title='owned'">`;
  const text = JSON.stringify(data).replaceAll('"testbed"', JSON.stringify(nasty));
  const { url } = await fill(JSON.parse(text), "one-file-nasty.html");
  await page.goto(url);
  await expect(page.locator("#context")).toContainText('document.title="owned"');
  await expect(page).not.toHaveTitle(/owned/);
  expect(await page.locator("img").count()).toBe(0);
  expect(errors).toEqual([]);
});

test("a file without data, or of another schema, says what to do", async ({ page }) => {
  const empty = await template();
  expect(empty).toContain("default-src 'none'");
  expect(empty).not.toMatch(/https?:\/\/(?!www\.w3\.org)/);
  const { url } = await fill({ schema: "perjury.evidence/9" }, "one-file-later.html");
  await page.goto(url);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("This file cannot be shown");
  await expect(page.getByRole("main")).toContainText("perjury.evidence/9");
  await expect(page.getByRole("main")).toContainText("perjury verify");
  const bare = await fill(null, "one-file-empty.html");
  await page.goto(bare.url);
  await expect(page.getByRole("main")).toContainText("It carries no data");
});
