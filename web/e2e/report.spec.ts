// Walks the pages of a running server over a store that has at least one invalid run, as a reader of a report would.

import { expect, type Page, test } from "@playwright/test";
import { complaints, expectAccessible, expectNoOverflow, SHOTS } from "./support/page";

interface ListedRun {
  id: string;
  verdict: string | null;
}

async function runs(page: Page, verdict: string): Promise<ListedRun[]> {
  const answer = await page.request.get(`/api/v1/runs?verdict=${verdict}`);
  expect(answer.ok()).toBe(true);
  return ((await answer.json()) as { runs: ListedRun[] }).runs;
}

/** Opens a run that has violations, and waits until its history is drawn. */
async function openInvalid(page: Page, hash = ""): Promise<void> {
  const [run] = await runs(page, "invalid");
  expect(run, "the store has an invalid run").toBeDefined();
  await page.goto(`/runs/${run?.id}${hash}`);
  await expect(page.locator("#timeline canvas").nth(1)).toBeVisible();
}

/** How many different colours a canvas shows: one for a blank one. */
function coloursOf(page: Page, canvas: number): Promise<number> {
  return page
    .locator("#timeline canvas")
    .nth(canvas)
    .evaluate((element) => {
      const { width, height } = element as HTMLCanvasElement;
      const data = (element as HTMLCanvasElement).getContext("2d")?.getImageData(0, 0, width, height).data ?? [];
      const seen = new Set<number>();
      for (let i = 0; i < data.length; i += 4) seen.add((data[i]! << 16) | (data[i + 1]! << 8) | data[i + 2]!);
      return seen.size;
    });
}

test("from the list to the operations of an anomaly", async ({ page }) => {
  const errors = complaints(page);
  await page.goto("/");
  const row = page.getByRole("row").filter({ hasText: "invalid" }).first();
  await expect(row).toBeVisible();
  await page.screenshot({ path: `${SHOTS}/list.png`, fullPage: true });

  await row.getByRole("link").first().click();
  await expect(page.getByTestId("verdict")).toContainText(/invalid/i);
  await expect(page.locator("#story li").first()).toBeVisible();
  await expect(page.locator("#timeline canvas").nth(1)).toBeVisible();
  await page.screenshot({ path: `${SHOTS}/report-light.png`, fullPage: true });

  const example = page.getByTestId("anomaly-example").first();
  await example.click();
  await expect(example).toHaveAttribute("aria-expanded", "true");
  const operations = page.locator(".example-body").getByTestId("operation");
  await expect(operations.first()).toBeVisible();
  await expect(operations.first()).toContainText(/ok|fail|info|open/);
  expect(page.url()).toMatch(/#anomaly=[^/]+\/0$/);
  await page.screenshot({ path: `${SHOTS}/anomaly.png`, fullPage: true });

  await operations.first().locator(".op-link").first().click();
  const drawer = page.getByTestId("drawer");
  await expect(drawer.getByTestId("operation")).toBeVisible();
  const heading = await drawer.getByRole("heading", { level: 2 }).innerText();
  expect(page.url()).toContain(`op=${heading.replace(/\D/g, "")}`);
  await page.screenshot({ path: `${SHOTS}/operation.png` });

  // The link alone shows the same again.
  await page.reload();
  await expect(drawer.getByRole("heading", { level: 2 })).toHaveText(heading);
  await expect(operations.first()).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(drawer).toBeHidden();
  expect(errors).toEqual([]);
});

test("the charts are drawn, zoom to a fault, and have a table", async ({ page }) => {
  const errors = complaints(page);
  await openInvalid(page);
  expect(await coloursOf(page, 0)).toBeGreaterThan(4);
  expect(await coloursOf(page, (await page.locator("#timeline canvas").count()) - 1)).toBeGreaterThan(2);

  await page.getByText("These charts as a table").click();
  await expect(page.locator("#timeline table tbody tr").first()).toBeVisible();

  const windows = page.getByRole("group", { name: "Window of time" }).getByRole("button");
  if ((await windows.count()) > 1) {
    await windows.nth(1).click();
    await expect(page).toHaveURL(/from=\d+&to=\d+/);
    await expect(windows.nth(1)).toHaveAttribute("aria-pressed", "true");
    await page.locator("#timeline").screenshot({ path: `${SHOTS}/fault.png` });
    await windows.first().click();
    await expect(page).not.toHaveURL(/from=/);
  }

  // A drag over the chart narrows the window.
  const plot = page.locator("#timeline .u-over").first();
  await plot.scrollIntoViewIfNeeded();
  const box = await plot.boundingBox();
  expect(box).not.toBeNull();
  if (box) {
    await page.mouse.move(box.x + box.width * 0.3, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + box.height / 2, { steps: 5 });
    await page.mouse.up();
    await expect(page).toHaveURL(/from=\d+&to=\d+/);
  }
  expect(errors).toEqual([]);
});

test("operations are searched and paged", async ({ page }) => {
  const errors = complaints(page);
  await openInvalid(page);
  await page.keyboard.press("/");
  const field = page.getByRole("searchbox", { name: "Search operations" });
  await expect(field).toBeFocused();
  await field.fill("f:poll type:ok");
  const rows = page.locator(".ops tbody tr");
  await expect(rows.first().locator("td").nth(4)).toHaveText("poll");
  await expect(page).toHaveURL(/q=f%3Apoll/);
  const cells = await rows.locator("td:nth-child(5)").allInnerTexts();
  expect(new Set(cells)).toEqual(new Set(["poll"]));
  await field.fill("no-such-field:1");
  await expect(page.getByText("names no field")).toBeVisible();
  expect(errors).toEqual([]);
});

test("keys step through anomalies and open the help", async ({ page }) => {
  const errors = complaints(page);
  await openInvalid(page);
  await page.keyboard.press("n");
  await expect(page).toHaveURL(/#anomaly=/);
  await expect(page.locator(".example-open")).toHaveCount(1);
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
  expect(errors).toEqual([]);
});

test("the pages read well in the dark, on a narrow screen, and to assistive technology", async ({ page }) => {
  const errors = complaints(page);
  await page.goto("/");
  await expect(page.locator(".run").first()).toBeVisible();
  await expectAccessible(page);
  await page.emulateMedia({ colorScheme: "dark" });
  await expectAccessible(page);
  await openInvalid(page, "#anomaly=lost-write/0");
  await page.screenshot({ path: `${SHOTS}/report-dark.png`, fullPage: true });
  await expectAccessible(page);
  await page.emulateMedia({ colorScheme: "light" });
  await expectAccessible(page);

  await page.setViewportSize({ width: 400, height: 800 });
  await expectNoOverflow(page);
  await page.screenshot({ path: `${SHOTS}/report-narrow.png`, fullPage: true });
  await page.goto("/");
  await expect(page.locator(".run").first()).toBeVisible();
  await expectNoOverflow(page);
  await page.screenshot({ path: `${SHOTS}/list-narrow.png`, fullPage: true });
  expect(errors).toEqual([]);
});

test("every verdict has a page that says so", async ({ page }) => {
  const errors = complaints(page);
  for (const verdict of ["valid", "invalid", "unknown"]) {
    const [run] = await runs(page, verdict);
    if (!run) continue;
    await page.goto(`/runs/${run.id}`);
    await expect(page.getByTestId("verdict")).toContainText(new RegExp(verdict, "i"));
    await page.screenshot({ path: `${SHOTS}/verdict-${verdict}.png` });
  }
  expect(errors).toEqual([]);
});

test("a run that is not there says what to do", async ({ page }) => {
  await page.goto("/runs/nobody/20000101T000000.000Z");
  await expect(page.getByRole("alert")).toContainText("There is no run");
  await page.getByRole("link", { name: "To the list of runs" }).click();
  await expect(page).toHaveURL("/");
  await page.goto("/no/such/page/at/all");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("There is no such page");
});

test("files can be taken away", async ({ page }) => {
  await openInvalid(page);
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "report.json" }).click();
  expect((await download).suggestedFilename()).toMatch(/report\.json$/);
});
