import { describe, expect, it } from "vitest";
import type { Leader, Operation } from "../../api/types";
import { bars, reigns, scale, spaced, told } from "./layout";

const send = (
  index: number,
  process: number,
  from: number,
  to: number | null,
  type: "ok" | "info" = "ok",
): Operation => ({
  invoke: { index, time: from, process, type: "invoke", f: "send", value: [["send", "orders-2", 17]] },
  complete:
    to === null
      ? null
      : { index: index + 1, time: to, process, type, f: "send", value: [["send", "orders-2", [118, 17]]] },
});

const poll: Operation = {
  invoke: { index: 10, time: 5e9, process: 4, type: "invoke", f: "poll", value: [["poll"]] },
  complete: {
    index: 11,
    time: 5.1e9,
    process: 4,
    type: "ok",
    f: "poll",
    value: [
      [
        "poll",
        {
          "orders-2": [
            [117, 16],
            [119, 18],
          ],
          "orders-1": [[5, 1]],
        },
      ],
    ],
  },
};

const about = { key: "orders-2", offset: 118, value: "17" };

describe("bars of a proof", () => {
  it("stand by process, and stay open where the end is unknown", () => {
    const all = bars([poll, send(3, 7, 2e9, 2.1e9), send(1, 7, 1e9, 9e9, "info"), send(5, 8, 1.5e9, null)], about);
    expect(all.map((b) => [b.process, b.index, b.outcome, b.to])).toEqual([
      ["7", 2, "info", null],
      ["7", 4, "ok", 2.1e9],
      ["8", 5, "open", null],
      ["4", 11, "ok", 5.1e9],
    ]);
  });
  it("say what concerns the place in question", () => {
    expect(told(send(1, 7, 1, 2), about)).toBe("send 17 at offset 118");
    expect(told(send(1, 7, 1, 2), { key: null, offset: null, value: null })).toBe("send 17 to orders-2 at offset 118");
    expect(told(poll, about)).toBe("read offsets 117, 119");
    expect(told(poll, { key: "orders-2", offset: 119, value: null })).toBe("read 18 at offset 119, of 117, 119");
  });
});

describe("the axis", () => {
  it("keeps the order and spends little on pauses", () => {
    const { at, stops } = scale([0, 1e6, 60e9], 1000);
    expect(stops.map((s) => s.t)).toEqual([0, 1e6, 60e9]);
    expect(at(0)).toBe(0);
    expect(at(60e9)).toBeCloseTo(1000);
    expect(at(1e6)).toBeGreaterThan(100);
    expect(at(30e9)).toBeGreaterThan(at(1e6));
    expect(spaced(stops, 2000)).toHaveLength(1);
    expect(scale([], 10).at(5)).toBe(0);
  });
});

it("tells who led, also while nobody did", () => {
  const leader = (t: number, from: number | null, to: number | null, epoch: number): Leader => ({
    t,
    topic: "orders",
    partition: 2,
    from,
    to,
    epoch,
  });
  const all = [leader(20, 2, null, 3), leader(30, null, 3, 4), leader(500, 3, 1, 5)];
  expect(reigns(all, "orders-2", 10, 100)).toEqual([
    { from: 10, to: 20, node: "2", epoch: null },
    { from: 20, to: 30, node: null, epoch: "3" },
    { from: 30, to: 100, node: "3", epoch: "4" },
  ]);
  expect(reigns(all, "orders-1", 10, 100)).toEqual([]);
});
