import { describe, expect, it } from "vitest";
import { type EvidenceData, SCHEMA, sourceOf, windowed } from "./embedded";
import type { Operation, Timeline } from "./types";

const send = (index: number, process: number, ms: number, key: string, offset: number, value: number): Operation => ({
  invoke: { index, time: ms * 1e6, process, type: "invoke", f: "send", value: [["send", key, value]] },
  complete: {
    index: index + 1,
    time: (ms + 5) * 1e6,
    process,
    type: "ok",
    f: "send",
    value: [["send", key, [offset, value]]],
  },
});

const poll = (index: number, process: number, ms: number, key: string, records: number[][]): Operation => ({
  invoke: { index, time: ms * 1e6, process, type: "invoke", f: "poll", value: [["poll"]] },
  complete: {
    index: index + 1,
    time: (ms + 5) * 1e6,
    process,
    type: "ok",
    f: "poll",
    value: [["poll", { [key]: records }]],
    final: true,
  },
});

const fault: Operation = {
  invoke: null,
  complete: { index: 4, time: 15e6, process: "nemesis", type: "info", f: "fault", value: {} },
};

const ITEMS = [
  send(0, 0, 0, "a-0", 7, 10),
  send(2, 1, 10, "a-1", 3, 20),
  fault,
  poll(5, 2, 20, "a-0", [
    [7, 10],
    [8, 30],
  ]),
];

const TIMELINE: Timeline = {
  duration: 100e6,
  from: 0,
  to: 100e6,
  points: [],
  operations: 3,
  sampled: false,
  bands: [],
  leaders: [],
  marks: [],
  rate: [],
  rate_step: 1,
};

const data = (more: Partial<EvidenceData> = {}) =>
  ({
    schema: SCHEMA,
    run: {},
    detail: {},
    timeline: TIMELINE,
    operations: { history: "whole", items: ITEMS },
    logs: [],
    ...more,
  }) as unknown as EvidenceData;

describe("a run inside the page", () => {
  const source = sourceOf(data());
  const found = async (params: Record<string, string | number>) =>
    (await source.operations("x", params)).operations.map((o) => o.invoke?.index ?? o.complete?.index);
  it("finds operations by any of their events", async () => {
    expect(await found({ index: "1,5" })).toEqual([0, 5]);
  });
  it("searches as the server does: clients unless others are asked for", async () => {
    expect(await found({})).toEqual([0, 2, 5]);
    expect(await found({ process: "all" })).toEqual([0, 2, 4, 5]);
    expect(await found({ process: "nemesis" })).toEqual([4]);
    expect(await found({ key: "a-0", offset: 7 })).toEqual([0, 5]);
    expect(await found({ key: "a-0", value: "30" })).toEqual([5]);
    expect(await found({ f: "send", since: 5e6 })).toEqual([2]);
  });
  it("pages by the index of the first operation", async () => {
    const page = await source.operations("x", { limit: 2 });
    expect(page).toMatchObject({ total: 3, before: 0, next: 5 });
    expect(await source.operations("x", { limit: 2, from: 5 })).toMatchObject({ total: 3, before: 2, next: null });
  });
  it("works a log out of the operations", async () => {
    const log = await source.log("x", { key: "a-0", from: 0, to: 7 });
    expect(log).toMatchObject({ highest: 8, observers: [2] });
    expect(log.rows).toHaveLength(1);
    expect(log.rows[0]).toMatchObject({ offset: 7, writes: [{ i: 1, process: 0 }], reads: [{ i: 6, final: true }] });
  });
  it("prefers a log as the server answered it, where it covers what is asked", async () => {
    const row = { offset: 9, writes: [], reads: [], hidden_reads: 0 };
    const view = { key: "a-0", from: 5, to: 20, highest: 12, observers: [1], rows: [row] };
    const with_logs = sourceOf(data({ logs: [view] }));
    expect(await with_logs.log("x", { key: "a-0", from: 6, to: 30 })).toMatchObject({ rows: [row] });
    expect(await with_logs.log("x", { key: "a-0", from: 0, to: 30 })).toMatchObject({ observers: [2] });
  });
  it("gives node lines of a window, each once", async () => {
    const line = (t: number, node: string) => ({ node, stream: "stdout" as const, at: null, text: `at ${t}`, t });
    const logs = [
      { lines: [line(3, "2"), line(1, "1")], more: false },
      { lines: [line(3, "2")], more: false },
    ];
    const kept = sourceOf(data({ logs }));
    expect((await kept.nodeLog("x", {})).lines.map((l) => l.t)).toEqual([1, 3]);
    expect((await kept.nodeLog("x", { node: "2", from: 2 })).lines).toHaveLength(1);
    expect((await kept.nodeLog("x", { to: 0 })).lines).toEqual([]);
  });
  it("says what the file does not hold", async () => {
    await expect(source.markdown("x", "jira")).rejects.toMatchObject({ code: "not-in-file" });
    await expect(sourceOf(data({ timeline: null })).timeline("x", {})).rejects.toMatchObject({ status: 404 });
    expect(await source.glossary()).toEqual({ anomalies: [] });
  });
});

describe("a window of the timeline", () => {
  it("is drawn anew where all operations are here", () => {
    const part = windowed(TIMELINE, ITEMS, { from: 8e6, to: 30e6 });
    expect(part).toMatchObject({ from: 8e6, to: 30e6, operations: 2, sampled: false });
    expect(part.points.map((p) => p.i)).toEqual([3, 6]);
    expect(part.rate.reduce((n, r) => n + r.ok, 0)).toBe(2);
  });
  it("is the whole without bounds", () => {
    expect(windowed(TIMELINE, ITEMS, {})).toBe(TIMELINE);
  });
});
