import { expect, it } from "vitest";
import type { Campaign, CampaignRun } from "../api/types";
import { parts } from "./campaign";

const campaign = (more: Partial<Campaign>): Campaign => ({
  id: "1",
  name: "a",
  state: "running",
  created: null,
  ...more,
});

const run = (state: CampaignRun["state"], verdict: string | null): CampaignRun => ({
  index: 0,
  state,
  run: null,
  verdict,
  seed: null,
  summary: null,
});

it("counts finished runs by verdict and the others by state", () => {
  const runs = [
    run("done", "valid"),
    run("done", null),
    run("done", "invalid"),
    run("running", null),
    run("queued", null),
  ];
  expect(parts(campaign({ runs }))).toEqual([
    ["invalid", 1],
    ["unknown", 1],
    ["valid", 1],
    ["running", 1],
    ["queued", 1],
  ]);
});

it("takes the counts where the runs are not listed", () => {
  expect(parts(campaign({ counts: { total: 5, done: 2, valid: 2, queued: 3 } }))).toEqual([
    ["valid", 2],
    ["queued", 3],
  ]);
});

it("counts a run once, whether it was cut short with a verdict or done without one", () => {
  expect(parts(campaign({ counts: { done: 1, invalid: 2, interrupted: 1 } }))).toEqual([["invalid", 2]]);
  expect(parts(campaign({ counts: { done: 2, valid: 1 } }))).toEqual([
    ["unknown", 1],
    ["valid", 1],
  ]);
});
