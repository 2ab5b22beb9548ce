// What a new user gets wrong, on a real server: each page says what to change. And no page is wider than its window.

import { expect, test } from "@playwright/test";
import { complaints, expectAccessible, expectNoOverflow, SHOTS } from "./support/page";

const WRONG = [
  { path: "/runs/nope/20200101T000000.000Z", told: "There is no run nope", advice: "copied into the store" },
  { path: "/runs/..%2f..%2fsession/x", told: "There is no such page", advice: "copy it whole" },
  { path: "/campaigns/nope", told: "There is no campaign nope", advice: "list of campaigns" },
  { path: "/compare?a=x&b=y", told: "is not a run", advice: "list of runs" },
  { path: "/nowhere", told: "There is no such page", advice: "copy it whole" },
  { path: "/share/a~b~1~0", told: "does not work any more", advice: "ask whoever sent it" },
];

for (const { path, told, advice } of WRONG) {
  test(`${path} says what to do`, async ({ page }) => {
    await page.goto(path);
    await expect(page.getByText(told)).toBeVisible();
    await expect(page.getByText(advice).first()).toBeVisible();
    // And a way on.
    await expect(page.getByRole("main").getByRole("link").first()).toBeVisible();
    await expectAccessible(page);
  });
}

test("whoever need not sign in is told so", async ({ page }) => {
  await page.goto("/login");
  await expect(page.getByText("perjury token create NAME")).toBeVisible();
  await expect(page.getByRole("textbox")).toHaveCount(0);
});

const PAGES = ["/", "/?group=name", "/?name=e2e-broken", "/campaigns", "/campaigns/new", "/calibration", "/glossary"];

for (const width of [1400, 390]) {
  test(`no page is wider than ${width} pixels`, async ({ page }) => {
    const errors = complaints(page);
    await page.setViewportSize({ width, height: 900 });
    for (const path of PAGES) {
      await page.goto(path);
      await page.waitForLoadState("networkidle");
      await page.evaluate(() => document.querySelectorAll("main details").forEach((d) => d.setAttribute("open", "")));
      await expectNoOverflow(page);
      await page.screenshot({ path: `${SHOTS}/width-${width}${path.replace(/\W+/g, "-")}.png` });
    }
    expect(errors).toEqual([]);
  });
}
