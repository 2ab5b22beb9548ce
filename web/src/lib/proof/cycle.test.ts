import { describe, expect, it } from "vitest";
import { arc, nodesOf, spots, stepsOf } from "./cycle";

const STEPS = [
  { from: 3, to: 9, type: "wr", key: "x", value: "4", text: "T2 polled 4 from key x, which T1 sent" },
  { from: 9, to: 3, type: "realtime", text: "T2 returned before T1 was invoked" },
];

describe("a circle of operations", () => {
  it("is read from the example's own fields", () => {
    const steps = stepsOf([["steps", STEPS]]);
    expect(steps.map((s) => [s.from, s.to, s.rel])).toEqual([
      [3, 9, "wr"],
      [9, 3, "realtime"],
    ]);
    expect(nodesOf(steps)).toEqual([3, 9]);
    expect(stepsOf([["delta", 3]])).toEqual([]);
    expect(stepsOf([["steps", [{ from: "x" }, null]]])).toEqual([]);
  });
  it("stands on an ellipse with arcs that do not touch its operations", () => {
    const [a, b] = spots([3, 9], 200, 100);
    expect(a).toMatchObject({ op: 3, x: 100, y: 0 });
    expect(b?.y).toBeCloseTo(100);
    if (!a || !b) throw new Error("two spots");
    const there = arc(a, b, 20, 30);
    const back = arc(b, a, 20, 30);
    expect(there.d).not.toBe(back.d);
    // The two arcs between the same operations bend apart.
    expect(Math.sign(there.x - 100)).toBe(-Math.sign(back.x - 100));
  });
});
