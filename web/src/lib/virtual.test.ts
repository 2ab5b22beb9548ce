import { describe, expect, it } from "vitest";
import { heightOf, HEIGHT_MAX, pagesOf, ROW, rowAt, scrollAt } from "./virtual";

describe("a long list in a box", () => {
  it("is as high as its rows while that is allowed", () => {
    expect(heightOf(100)).toBe(100 * ROW);
    expect(heightOf(10_000_000)).toBe(HEIGHT_MAX);
  });
  it("reaches the first and the last row, however long it is", () => {
    for (const rows of [10, 1000, 10_000_000]) {
      expect(rowAt(0, rows, 16)).toBe(0);
      expect(rowAt(scrollAt(rows, rows, 16), rows, 16)).toBeCloseTo(Math.max(0, rows - 16), 3);
    }
  });
  it("comes back to the row that was asked for", () => {
    for (const row of [0, 1, 77_777, 9_999_000]) {
      expect(rowAt(scrollAt(row, 10_000_000, 16), 10_000_000, 16)).toBeCloseTo(row, 3);
    }
  });
  it("asks for the pages that are in sight", () => {
    expect(pagesOf(0, 16, 200)).toEqual([0]);
    expect(pagesOf(190, 16, 200)).toEqual([0, 1]);
    expect(pagesOf(-3, 16, 200)).toEqual([0]);
  });
});
