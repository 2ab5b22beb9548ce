import { describe, expect, it } from "vitest";
import type { LogRow, LogSeen, LogView } from "../api/types";
import { columns, rows, stateOf } from "./matrix";

const seen = (over: Partial<LogSeen>): LogSeen => ({ i: 1, process: 1, type: "ok", value: 17, t: 0, ...over });
const row = (over: Partial<LogRow>): LogRow => ({ offset: 0, writes: [], reads: [], hidden_reads: 0, ...over });
const view = (over: Partial<LogView>): LogView => ({
  key: "a",
  from: 0,
  to: 9,
  highest: 3,
  observers: [],
  rows: [],
  ...over,
});

describe("an offset", () => {
  it("is lost when it was acknowledged and nobody read it", () => {
    expect(stateOf(row({ writes: [seen({})] }))).toBe("lost");
    expect(stateOf(row({ writes: [seen({})], reads: [seen({ type: "info" })] }))).toBe("lost");
    expect(stateOf(row({ writes: [seen({})], reads: [seen({})] }))).toBe("read");
  });
  it("is a hole when nothing is known of it, or only an unknown outcome", () => {
    expect(stateOf(row({}))).toBe("hole");
    expect(stateOf(row({ writes: [seen({ type: "info" })] }))).toBe("hole");
  });
  it("conflicts when it held several values", () => {
    expect(stateOf(row({ writes: [seen({})], reads: [seen({ value: 18 })] }))).toBe("conflict");
  });
});

describe("the window", () => {
  it("shows offsets that nobody mentions, up to the highest known", () => {
    const found = rows(view({ rows: [row({ offset: 1, writes: [seen({})] }), row({ offset: 3 })] }));
    expect(found.map((r) => r.offset)).toEqual([0, 1, 2, 3]);
    expect(found[2]?.writes).toEqual([]);
  });
  it("keeps those who took part in the final reads", () => {
    const observers = Array.from({ length: 30 }, (_, i) => i);
    const final = row({ reads: [seen({ process: 29, final: true })] });
    const kept = columns(view({ observers, rows: [final] }));
    expect(kept).toHaveLength(10);
    expect(kept.at(-1)).toBe(29);
  });
});
