import { describe, expect, it } from "vitest";
import type { Band, Point, Timeline } from "../../api/types";
import {
  bandLabel,
  bandLabels,
  bandsAt,
  classes,
  clusters,
  lanes,
  latencyRange,
  lowerBound,
  pointOf,
  tabulate,
  windowOf,
  withPoints,
  within,
} from "./layout";

const band = (over: Partial<Band>): Band => ({
  fault: 0,
  f: "kill",
  target: "leader",
  nodes: [2],
  key: "orders-2",
  start: 5e9,
  injected: 5e9,
  end: 8e9,
  healed: true,
  witnessed: true,
  why: null,
  ...over,
});
const point = (over: Partial<Point>): Point => ({ i: 1, t: 0, ms: 1, f: "send", type: "ok", key: null, ...over });
const timeline: Timeline = {
  duration: 10e9,
  from: 0,
  to: 10e9,
  points: [point({ i: 1, t: 1e9, ms: 4 }), point({ i: 2, t: 5.5e9, ms: 900 }), point({ i: 3, t: 9e9, ms: null })],
  operations: 3,
  sampled: false,
  bands: [band({})],
  leaders: [{ t: 5.6e9, topic: "orders", partition: 2, from: 2, to: 3, epoch: 4 }],
  marks: [],
  rate: Array.from({ length: 10 }, (_, i) => ({ t: i * 1e9, ok: 10, fail: i === 5 ? 2 : 0, info: 0 })),
  rate_step: 1e9,
};

describe("lanes", () => {
  it("keep what overlaps apart and use a lane again", () => {
    expect(
      lanes([
        { start: 0, end: 5 },
        { start: 1, end: 3 },
        { start: 3, end: 9 },
        { start: 5, end: 6 },
      ]),
    ).toEqual([0, 1, 1, 0]);
    expect(lanes([])).toEqual([]);
  });
});

describe("faults", () => {
  it("are named by what they did and to whom", () => {
    expect(bandLabel(band({}))).toBe("kill node 2");
    expect(bandLabel(band({}), true)).toBe("kill leader of orders-2 (node 2)");
    expect(bandLabel(band({ nodes: null, target: "all", key: null }), true)).toBe("kill all (all)");
    expect(bandLabel(band({ nodes: [1, 3] }))).toBe("kill node 1, 3");
    expect(bandLabels(band({ witnessed: false }))).toEqual(["kill node 2 (not witnessed)", "kill node 2", "kill"]);
  });
  it("are on from start to end", () => {
    expect(bandsAt(timeline.bands, 5e9)).toHaveLength(1);
    expect(bandsAt(timeline.bands, 8.1e9)).toHaveLength(0);
  });
  it("have a window within the run", () => {
    expect(windowOf(band({ start: 1e9 }), 9e9)).toEqual({ from: 0, to: 9e9 });
  });
});

describe("leader changes that stand too close", () => {
  it("are counted as one", () => {
    expect(clusters([1, 2, 3, 20, 40, 41], 2)).toEqual([
      [0, 2],
      [3, 3],
      [4, 5],
    ]);
  });
});

describe("the latency axis", () => {
  it("ends at powers of ten and never collapses", () => {
    expect(latencyRange(timeline.points)).toEqual([1, 1000]);
    expect(latencyRange([point({ ms: 10 })])).toEqual([10, 100]);
    expect(latencyRange([point({ ms: null }), point({ ms: 0 })])).toEqual([0.1, 100]);
  });
});

describe("points", () => {
  it("are found by time", () => {
    expect([0, 1, 2, 9].map((x) => lowerBound([1, 2, 2, 5], x))).toEqual([0, 0, 1, 4]);
  });
  it("are counted by function and outcome, rare outcomes last", () => {
    const points = [point({ type: "fail" }), point({}), point({ f: "poll" }), point({})];
    expect(classes(points)).toEqual([
      ["send ok", 2],
      ["poll ok", 1],
      ["send fail", 1],
    ]);
  });
  it("come back when sampling left out what matters", () => {
    const more = [point({ i: 2, t: 5.5e9 }), point({ i: 7, t: 2e9 }), point({ i: 8, t: 99e9 })];
    expect(withPoints(timeline, more).points.map((p) => p.i)).toEqual([1, 7, 2, 3]);
    expect(withPoints(timeline, [])).toBe(timeline);
  });
  it("are made of operations of clients only", () => {
    const complete = {
      index: 4,
      time: 3e6,
      process: 1,
      type: "ok" as const,
      f: "send",
      value: [["send", "a", [0, 1]]],
    };
    expect(pointOf({ invoke: { ...complete, index: 3, time: 1e6, type: "invoke" }, complete })).toEqual({
      i: 4,
      t: 1e6,
      ms: 2,
      f: "send",
      type: "ok",
      key: "a",
    });
    expect(pointOf({ invoke: null, complete: { ...complete, process: "nemesis" } })).toBeNull();
  });
});

describe("the charts as a table", () => {
  it("add up to the same", () => {
    const rows = tabulate(timeline, 4);
    expect(rows.length).toBeLessThanOrEqual(4);
    expect(rows.reduce((n, r) => n + r.ok, 0)).toBe(100);
    expect(rows.reduce((n, r) => n + r.fail, 0)).toBe(2);
    expect(rows.find((r) => r.leaders === 1)).toMatchObject({ faults: "kill node 2", slowestMs: 900 });
    expect(rows.at(-1)).toMatchObject({ to: 10e9, slowestMs: null });
  });
});

it("tells what touches a window", () => {
  const window = { from: 10, to: 20 };
  expect(within(null, 1, 2)).toBe(true);
  expect(within(window, null, null)).toBe(true);
  expect(within(window, 1, 9)).toBe(false);
  expect(within(window, 1, 10)).toBe(true);
  expect(within(window, 20, null)).toBe(true);
  expect(within(window, 21, 30)).toBe(false);
});
