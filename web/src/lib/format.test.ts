import { describe, expect, it } from "vitest";
import { ago, bytes, clock, integer, millis, percent, plural, sentence, stamp, wall, difference } from "./format";

describe("durations", () => {
  it("carry the unit that reads best", () => {
    expect(millis(0.41)).toBe("410 µs");
    expect(millis(1)).toBe("1.00 ms");
    expect(millis(42.25)).toBe("42.3 ms");
    expect(millis(812)).toBe("812 ms");
    expect(millis(1310)).toBe("1.31 s");
    expect(millis(75_400)).toBe("1 min 15 s");
    expect(millis(null)).toBe("–");
  });
});

describe("moments of the run", () => {
  it("count from its start", () => {
    expect(clock(13_031_400_000)).toBe("13.031 s");
    expect(clock(185_120_000_000)).toBe("3:05.120");
    expect(clock(undefined)).toBe("–");
  });
  it("stand on the wall clock when the start is known", () => {
    expect(wall("2026-11-23T12:04:31.207Z", 1_500_000_000)).toBe("2026-11-23 12:04:32.707Z");
    expect(wall("not a time", 1)).toBeNull();
    expect(wall(null, 1)).toBeNull();
  });
  it("begins a sentence and leaves names alone", () => {
    expect(sentence("there is no run a/b")).toBe("There is no run a/b");
    for (const name of ["history.jsonl, line 3", '"x" is not a run', "acks=all"]) expect(sentence(name)).toBe(name);
  });
});

describe("relative times", () => {
  const now = Date.parse("2026-11-23T12:00:00Z");
  it("use the largest whole unit", () => {
    expect(ago("2026-11-23T11:59:55Z", now)).toBe("just now");
    expect(ago("2026-11-23T11:59:00Z", now)).toBe("1 minute ago");
    expect(ago("2026-11-23T09:30:00Z", now)).toBe("2 hours ago");
    expect(ago("2026-11-01T12:00:00Z", now)).toBe("22 days ago");
    expect(ago("2024-11-23T12:00:00Z", now)).toBe("2 years ago");
  });
  it("do not go into the future or fail", () => {
    expect(ago("2026-11-23T12:30:00Z", now)).toBe("just now");
    expect(ago("by hand", now)).toBe("by hand");
    expect(stamp("2026-11-23T12:00:00.5Z")).toBe("2026-11-23 12:00:00 UTC");
  });
});

describe("counts and sizes", () => {
  it("are grouped and named", () => {
    expect(integer(1204551)).toBe("1,204,551");
    expect(plural(1, "run")).toBe("1 run");
    expect(plural(2, "analysis", "analyses")).toBe("2 analyses");
    expect(bytes(999)).toBe("999 B");
    expect(bytes(7_531)).toBe("7.5 kB");
    expect(bytes(56_000_000)).toBe("56 MB");
  });
  it("never round a loss up to the whole", () => {
    expect(percent(10_698, 10_700)).toBe("99.981 %");
    expect(percent(3, 3)).toBe("100 %");
    expect(percent(1, 4)).toBe("25.0 %");
    expect(percent(0, 0)).toBe("–");
  });
});

it("tells how one figure differs from another", () => {
  expect(difference(200, 100)).toBe("−50 %");
  expect(difference(100, 104.2)).toBe("+4.2 %");
  expect(difference(3, 3)).toBe("same");
  expect(difference(0, 2)).toBe("more");
  expect(difference(null, 2)).toBe("–");
});
