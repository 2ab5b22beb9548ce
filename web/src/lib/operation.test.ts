import { describe, expect, it } from "vitest";
import type { HistoryEvent, Operation } from "../api/types";
import { ended, extras, jsonl, polled, ranges, sends, summary, tookMs } from "./operation";

const event = (over: Partial<HistoryEvent>): HistoryEvent => ({ index: 1, type: "ok", f: "send", ...over });
const done = (over: Partial<HistoryEvent>): Operation => ({ invoke: null, complete: event(over) });

describe("reading micro-operations", () => {
  it("tells answered sends from others", () => {
    expect(sends(event({ value: [["send", "orders-2", 17]] }))).toEqual([
      { key: "orders-2", value: "17", offset: undefined },
    ]);
    expect(sends(event({ value: [["send", 3, [null, "v"]]] }))).toEqual([{ key: "3", value: "v", offset: null }]);
    expect(summary(done({ value: [["send", "orders-2", [118, 17]]] }))).toBe("orders-2 ← 17 @ 118");
  });
  it("reads polls by key", () => {
    const value = [
      [
        "poll",
        {
          "orders-2": [
            [118, 17, { ts: 1 }],
            [119, 18],
            [121, 20],
          ],
        },
      ],
    ];
    const [group] = polled(event({ f: "poll", value }));
    expect(group?.records.map((r) => r.offset)).toEqual([118, 119, 121]);
    expect(group?.records[0]?.meta).toEqual({ ts: 1 });
    expect(summary(done({ f: "poll", value }))).toBe("orders-2 [118–119, 121]");
  });
  it("survives values of strangers", () => {
    for (const value of [null, 3, "x", [], [null], [["poll", null]], [["poll", [1]]], [["send"]], { a: 1 }]) {
      expect(() => summary(done({ value }))).not.toThrow();
    }
    expect(summary(done({ f: "poll", value: [["poll", {}]] }))).toBe("no records");
    expect(summary(done({ f: "kill", value: { fault: 3 } }))).toBe('{"fault":3}');
  });
});

describe("an operation", () => {
  const op: Operation = {
    invoke: event({ type: "invoke", time: 1_000_000, acks: "all" }),
    complete: event({ index: 2, type: "info", time: 3_500_000, error: { code: "_TIMED_OUT" } }),
  };
  it("took the time between its rows", () => {
    expect(tookMs(op)).toBe(2.5);
    expect(tookMs({ ...op, complete: null })).toBeNull();
  });
  it("is open without a completion", () => {
    expect(ended(op)).toBe("info");
    expect(ended({ ...op, complete: null })).toBe("open");
  });
  it("shows what its rows carry beside the common fields", () => {
    expect(extras(op)).toEqual([["acks", "all"]]);
    expect(
      jsonl([op])
        .trimEnd()
        .split("\n")
        .map((l) => JSON.parse(l)),
    ).toEqual([op.invoke, op.complete]);
  });
});

describe("ranges of offsets", () => {
  it("join neighbours and shorten long lists", () => {
    expect(ranges([])).toBe("");
    expect(ranges([5])).toBe("5");
    expect(ranges([1, 2, 3, 7, 9, 10])).toBe("1–3, 7, 9–10");
    expect(ranges([0, 2, 4, 6, 8, 10, 12, 14])).toBe("0, 2, 4, 6, 8, … 14");
  });
});
