// The pages beside the report, over answers in the shapes of the API's contract.

import { expect, test } from "@playwright/test";
import { campaign, json, mock, refuse, RUNS, SESSION } from "./support/mock";
import { complaints, expectAccessibleInBoth, expectNoOverflow, SHOTS } from "./support/page";

test("an empty store says what to do next", async ({ page }) => {
  const errors = complaints(page);
  const verdicts = { invalid: 0, valid: 0, unknown: 0, none: 0 };
  await mock(page, { "/runs": json({ runs: [], total: 0, stored: 0, verdicts }) });
  await page.goto("/");
  await expect(page.getByRole("heading", { name: "No runs yet" })).toBeVisible();
  await expect(page.getByText("perjury run --cluster testbed")).toBeVisible();
  await expectAccessibleInBoth(page);
  await page.screenshot({ path: `${SHOTS}/start.png`, fullPage: true });
  await page.getByRole("link", { name: "Choose a plan" }).click();
  await expect(page).toHaveURL("/campaigns/new");
  expect(errors).toEqual([]);
});

test("runs are filtered, grouped, and compared", async ({ page }) => {
  const errors = complaints(page);
  await mock(page);
  await page.goto("/");
  await page.getByRole("button", { name: "More filters" }).click();
  const asked = page.waitForRequest(
    (r) => r.url().includes("anomaly=lost-write") && r.url().includes("status=complete"),
  );
  await page.getByLabel("Status").selectOption("complete");
  await page.getByLabel("Anomaly").fill("lost-write");
  await page.getByLabel("Anomaly").blur();
  await asked;
  await expect(page).toHaveURL(/anomaly=lost-write/);
  await expectAccessibleInBoth(page);
  await page.screenshot({ path: `${SHOTS}/filters.png`, fullPage: true });
  await page.getByRole("button", { name: "Clear all" }).click();
  await expect(page).not.toHaveURL(/anomaly/);

  await page.getByRole("button", { name: "Group by name" }).click();
  await expect(page.getByRole("img", { name: /3 of 12 judged runs violate a promise: 25 %/ }).first()).toBeVisible();
  await page.screenshot({ path: `${SHOTS}/groups.png`, fullPage: true });
  await expectAccessibleInBoth(page);
  await page.getByRole("button", { name: "nightly" }).click();
  await expect(page.getByRole("region", { name: "Trend of nightly" })).toContainText("with 95 % confidence between");
  await expectAccessibleInBoth(page);
  await page.screenshot({ path: `${SHOTS}/trend.png`, fullPage: true });

  await page.getByLabel(`Compare ${RUNS[0]?.id}`).check();
  await expect(page.getByRole("button", { name: "Compare", exact: true })).toBeDisabled();
  await page.getByLabel(`Compare ${RUNS[1]?.id}`).check();
  await page.getByRole("button", { name: "Compare", exact: true }).click();
  await expect(page.getByRole("article", { name: "Run B" })).toContainText("valid");
  await expect(page.getByRole("row", { name: /workload.rate/ })).toContainText("800");
  await expect(page.getByRole("row", { name: /longest gap/ })).toContainText("−21 %");
  await expectAccessibleInBoth(page);
  await page.screenshot({ path: `${SHOTS}/compare.png`, fullPage: true });
  expect(errors).toEqual([]);
});

test("what is typed into a filter stays when the list is drawn anew", async ({ page }) => {
  await mock(page);
  await page.goto("/");
  await page.getByRole("button", { name: "More filters" }).click();
  await page.getByLabel("Anomaly").fill("lost-write");
  await page.getByRole("button", { name: "valid", exact: false }).first().dispatchEvent("click");
  await expect(page).toHaveURL(/verdict=/);
  await expect(page.getByLabel("Anomaly")).toHaveValue("lost-write");
  await page.getByLabel("Anomaly").blur();
  await expect(page).toHaveURL(/anomaly=lost-write/);
});

test("a plan is checked while it is typed, and becomes a campaign that is watched", async ({ page }) => {
  const errors = complaints(page);
  await mock(page);
  await page.goto("/campaigns");
  await expect(page.getByRole("link", { name: "leader-kills" })).toBeVisible();
  await expectAccessibleInBoth(page);
  await page.screenshot({ path: `${SHOTS}/campaigns.png`, fullPage: true });
  await page.getByRole("link", { name: "New campaign" }).click();
  await expect(page.getByTestId("plan-ok")).toContainText("2 runs");
  const text = page.getByRole("textbox", { name: "Plan, as TOML" });
  const good = await text.inputValue();
  const wrong = page.getByRole("list", { name: "Errors in the plan" });

  await text.fill(good.replace("rate = 400", "rate = "));
  await expect(wrong).toContainText("not TOML");
  await text.fill(good.replace('"leader"', '"leeder"'));
  await expect(wrong).toContainText("nemesis.target");
  await text.fill(good.replace("rate = 400", "rate = -1"));
  await expect(wrong).toContainText("a rate is at least 1");
  await expect(page.getByRole("button", { name: "Start the campaign" })).toBeDisabled();
  await expectAccessibleInBoth(page);
  await page.screenshot({ path: `${SHOTS}/plan-errors.png`, fullPage: true });
  await wrong.getByRole("button", { name: /line 10/ }).click();
  await expect(text).toBeFocused();

  await text.fill(good);
  await expect(page.getByTestId("plan-ok")).toContainText("2 runs");
  await page.screenshot({ path: `${SHOTS}/plan.png`, fullPage: true });
  const sent = page.waitForRequest((r) => r.method() === "POST" && r.url().endsWith("/campaigns"));
  await page.getByRole("button", { name: "Start the campaign" }).click();
  const request = await sent;
  expect(request.headers()["x-csrf-token"]).toBe("c5rf");
  expect(request.postDataJSON()).toEqual({ toml: good, name: "leader-kills" });

  await expect(page).toHaveURL("/campaigns/20261123-1");
  await expect(page.getByTestId("campaign")).toContainText("running");
  await expect(page.getByTestId("live")).toContainText("lost-write");
  await expect(page.getByTestId("live")).toContainText("node 3");
  await expect(page.getByTestId("campaign-run")).toHaveCount(4);
  await expectAccessibleInBoth(page);
  await page.screenshot({ path: `${SHOTS}/campaign.png`, fullPage: true });
  expect(errors).toEqual([]);
});

test("a campaign is paused, resumed and cancelled", async ({ page }) => {
  const errors = complaints(page);
  let state = "running";
  const steer = (next: string) => async (route: Parameters<ReturnType<typeof json>>[0]) => {
    state = next;
    await json({})(route);
  };
  await mock(page, {
    "/campaigns/20261123-1": (route) => json(campaign(state))(route),
    "/campaigns/20261123-1/pause": steer("paused"),
    "/campaigns/20261123-1/resume": steer("running"),
    "/campaigns/20261123-1/cancel": steer("cancelled"),
  });
  await page.goto("/campaigns/20261123-1");
  for (const [press, then] of [
    ["Pause", "paused"],
    ["Resume", "running"],
    ["Cancel", "cancelled"],
  ] as const) {
    await page.getByRole("button", { name: press, exact: true }).click();
    await expect(page.getByTestId("campaign")).toContainText(then);
  }
  await expect(page.getByRole("button", { name: "Pause" })).toHaveCount(0);
  expect(errors).toEqual([]);
});

test("every anomaly is explained", async ({ page }) => {
  const errors = complaints(page);
  await mock(page);
  await page.goto("/glossary#anomaly=G1c");
  const entry = page.getByRole("article", { name: /lost-write/ });
  await expect(entry).toContainText("Data that the producer was told is safe is gone.");
  await expect(entry).toContainText("an unclean leader election");
  await entry.getByText("A history that shows it").click();
  await expect(entry.locator("pre")).toContainText('"format"');
  await expectAccessibleInBoth(page);
  await page.screenshot({ path: `${SHOTS}/glossary.png`, fullPage: true });
  await page.getByRole("searchbox", { name: "Search anomalies" }).fill("circular");
  await expect(page.getByRole("article")).toHaveCount(1);
  expect(errors).toEqual([]);
});

test("who has no token is asked for one, and may then do what it allows", async ({ page }) => {
  let role: string | null = null;
  const session = () => ({ ...SESSION, open: false, authenticated: role !== null, role });
  const locked = refuse(401, "unauthorized", "a token is needed", "Sign in, or send it as `Authorization: Bearer`.");
  await mock(page, {
    "/session": (route) => {
      if (route.request().method() === "GET") return json(session())(route);
      const { token } = route.request().postDataJSON() as { token: string };
      if (token !== "right")
        return refuse(401, "unauthorized", "this token is not known", "Make one with `perjury token create`.")(route);
      role = "read";
      return json(session())(route);
    },
    "/campaigns": (route) =>
      role === null ? locked(route) : json({ items: [campaign("running")], total: 1, offset: 0, limit: 50 })(route),
  });
  await page.goto("/campaigns");
  await expect(page.getByRole("alert")).toContainText("A token is needed");
  await page.getByRole("alert").getByRole("link", { name: "Sign in" }).click();
  await expect(page).toHaveURL("/login?next=%2Fcampaigns");
  await expectAccessibleInBoth(page);
  await page.screenshot({ path: `${SHOTS}/login.png` });
  await page.getByLabel("Token").fill("wrong");
  await page.locator("form").getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("alert")).toContainText("This token is not known");
  await page.getByLabel("Token").fill("right");
  await page.locator("form").getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL("/campaigns");
  await expect(page.getByRole("note")).toContainText("read only");
  await expect(page.getByRole("link", { name: "New campaign" })).toHaveCount(0);
  await page.screenshot({ path: `${SHOTS}/read-only.png` });
});

test("a share link shows its run and leads nowhere else", async ({ page }) => {
  const only = RUNS[0]?.id ?? "";
  await mock(page, {
    "/session": json({ ...SESSION, open: false, authenticated: true, role: "read", only }),
    "/runs": refuse(403, "forbidden", "this link shows one run", `See /runs/${only}.`),
  });
  await page.goto("/");
  await expect(page.getByRole("note")).toContainText("a link that was shared with you");
  await expect(page.getByRole("alert")).toContainText("This link shows one run");
  await expect(page.getByRole("navigation", { name: "Pages" })).toHaveCount(0);
});

test("the way back after signing in never leads to another server", async ({ page }) => {
  await mock(page);
  await page.goto("/login?next=//elsewhere.example/");
  await page.getByLabel("Token").count();
  await page.evaluate(() => undefined);
  await mock(page, { "/session": json({ ...SESSION, open: false, authenticated: true, role: "admin" }) });
  await page.reload();
  await page.getByLabel("Token").fill("right");
  await page.locator("form").getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL("/");
});

test("errors say what to change", async ({ page }) => {
  await mock(page, {
    "/campaigns/7": refuse(404, "not-found", "there is no campaign 7", "See the list of campaigns."),
    "/compare": refuse(
      404,
      "not-found",
      "there is no run a/1",
      "It may have been deleted: choose two rows of the list.",
    ),
  });
  await page.goto("/campaigns/7");
  await expect(page.getByRole("alert")).toContainText("See the list of campaigns.");
  await page.goto("/compare?a=a/1&b=b/2");
  await expect(page.getByRole("alert")).toContainText("choose two rows");
  await page.goto("/compare");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Which two runs?");
  await page.goto("/no/such/page");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("There is no such page");
  await expectAccessibleInBoth(page);
  await page.screenshot({ path: `${SHOTS}/not-found.png` });
});

test("a page that meets data of another shape says so instead of staying blank", async ({ page }) => {
  await mock(page, { "/compare": json({ a: RUNS[0], b: RUNS[1] }) });
  await page.goto("/compare?a=a/1&b=b/2");
  await expect(page.getByRole("alert")).toContainText("This page failed");
  await expect(page.getByRole("alert")).toContainText("of the same version");
  await expectAccessibleInBoth(page);
});

test("the pages fit a narrow screen", async ({ page }) => {
  await mock(page);
  await page.setViewportSize({ width: 400, height: 800 });
  for (const path of [
    "/",
    "/?group=name",
    "/campaigns",
    "/campaigns/new",
    "/campaigns/20261123-1",
    "/glossary",
    "/compare?a=a&b=b",
  ]) {
    await page.goto(path);
    await expect(page.getByRole("main").getByText(/\w/).first()).toBeVisible();
    await page.waitForLoadState("networkidle");
    await expectNoOverflow(page);
  }
  await page.screenshot({ path: `${SHOTS}/compare-narrow.png`, fullPage: true });
});
