import { describe, expect, it } from "vitest";
import { currentCase, type Example, foldsOf, headlineParts, readReport, type Report, step } from "./report";

describe("reading a report", () => {
  it("is null without one", () => {
    for (const none of [null, 3, "x", []]) expect(readReport(none)).toBeNull();
  });
  it("fills what a file lacks", () => {
    const report = readReport({});
    expect(report?.verdict).toBeNull();
    expect(report?.anomalies).toEqual([]);
    expect(report?.coverage.finalRead).toBe("absent");
  });
  it("survives fields of the wrong type", () => {
    const odd = {
      verdict: 1,
      story: [3, { text: 4, ops: ["x", 2] }],
      anomalies: { a: null },
      counts: [],
      contract: "x",
    };
    expect(readReport(odd)?.story[1]).toEqual({ text: "4", ops: [2] });
  });
  it("puts violations first, lost data before all, and the greater count before the smaller", () => {
    const of = (judgement: string, count: number) => ({ judgement, count, examples: [] });
    const anomalies = {
      unseen: of("unspecified", 9),
      "availability-gap": of("allowed", 50),
      duplicate: of("violation", 3),
      "lost-write": of("violation", 1),
      "poll-skip": of("violation", 40),
      "int-poll-skip": of("violation", 50),
      G0: of("violation", 0),
      odd: of("never heard of", 2),
    };
    expect(readReport({ anomalies })?.anomalies.map((a) => a.name)).toEqual([
      "lost-write",
      "duplicate",
      "int-poll-skip",
      "poll-skip",
      "unseen",
      "odd",
      "availability-gap",
    ]);
  });
  it("keeps the fields of one kind of anomaly apart", () => {
    const example = {
      sentence: "s",
      key: "orders-2",
      offset: 0,
      value: 17,
      ops: [1],
      fault: 0,
      highest_read: 9,
      none: null,
    };
    const report = readReport({ anomalies: { x: { count: 1, examples: [example] } } });
    expect(report?.anomalies[0]?.examples[0]).toMatchObject({ offset: 0, fault: 0, other: [["highest_read", 9]] });
  });
  it("names each reason once, with its sentence where there is one", () => {
    const report = readReport({
      reasons: ["no-fault-witnessed", "torn-history"],
      reason_details: [{ code: "no-fault-witnessed", message: "None was." }],
    });
    expect(report?.reasons).toEqual([
      { code: "no-fault-witnessed", message: "None was." },
      { code: "torn-history", message: "" },
    ]);
  });
  it("adds up what each topic-partition lost", () => {
    const keys = [
      { key: "a", lost: 2 },
      { key: "b", lost: 1 },
    ];
    expect(readReport({ counts: { keys } })?.lost).toBe(3);
    // A report that lists only some topic-partitions says the whole elsewhere.
    const wide = readReport({ counts: { keys, keys_total: 900 }, confidence: { lost: 7 } });
    expect([wide?.lost, wide?.keysTotal]).toEqual([7, 900]);
  });
});

describe("cases that the contract judges one by one", () => {
  it("are counted apart from all cases", () => {
    const of = (raw: object) => readReport({ anomalies: { x: { count: 9, ...raw } } })?.anomalies[0]?.violations;
    expect(of({ judgement: "violation", violations: 4 })).toBe(4);
    expect(of({ judgement: "violation" })).toBe(9);
    expect(of({ judgement: "unspecified" })).toBe(0);
  });
});

describe("the headline", () => {
  it("leaves the verdict to its sign", () => {
    expect(headlineParts("INVALID · 3 records lost · acks=all")).toEqual(["3 records lost", "acks=all"]);
    expect(headlineParts("UNKNOWN · faults were asked for")).toEqual(["Faults were asked for"]);
    expect(headlineParts("")).toEqual([]);
  });
});

describe("stepping through anomalies", () => {
  const of = (examples: number) => ({ count: examples, judgement: "violation", examples: Array(examples).fill({}) });
  const report = readReport({ anomalies: { a: of(2), b: of(1) } }) as Report;
  it("goes through all examples and round", () => {
    let at = step(report, null, 1);
    const seen = [];
    for (let i = 0; i < 4; i++) {
      seen.push(`${at?.name}/${at?.example}`);
      at = step(report, at, 1);
    }
    expect(seen).toEqual(["a/0", "a/1", "b/0", "a/0"]);
    expect(step(report, null, -1)).toEqual({ name: "b", example: 0 });
    expect(step(report, { name: "gone", example: 9 }, 1)).toEqual({ name: "a", example: 0 });
  });
  it("stays where it is without anomalies", () => {
    expect(step(readReport({}) as Report, null, 1)).toBeNull();
  });
});

it("folds cases of one place and fault", () => {
  const example = (key: string | null, fault: number | null): Example => ({
    sentence: "",
    key,
    offset: null,
    value: null,
    ops: [],
    fault,
    other: [],
  });
  const folds = foldsOf([
    example("a-0", 1),
    example("a-1", 1),
    example("a-0", 1),
    example(null, null),
    example(null, null),
  ]);
  expect(folds.map((f) => f.members)).toEqual([[0, 2], [1], [3], [4]]);
  expect(folds[0]?.label).toBe("on a-0, next to fault 1");
});

it("takes the open case, else the first of the worst anomaly", () => {
  const report = readReport({
    anomalies: {
      unseen: { count: 1, judgement: "unspecified", examples: [{ sentence: "u" }] },
      "lost-write": { count: 2, judgement: "violation", examples: [{ sentence: "a" }, { sentence: "b" }] },
    },
  });
  if (!report) throw new Error("a report");
  const sentence = (open: { name: string; example: number } | null) => currentCase(report, open)?.example.sentence;
  expect(sentence(null)).toBe("a");
  expect(sentence({ name: "lost-write", example: 1 })).toBe("b");
  expect(sentence({ name: "unseen", example: 0 })).toBe("u");
  expect(sentence({ name: "lost-write", example: 9 })).toBeUndefined();
});
