// A list of any length in a box that scrolls: browsers bound the height of an element, so a long list is drawn on a
// shorter one, and every pixel of the scroll bar stands for several rows.

/** The height of a row, and the most that an element may have, in CSS pixels. */
export const ROW = 26;
export const HEIGHT_MAX = 4_000_000;

/** The height of the element that scrolls, for so many rows of which `shown` fit into the box. */
export const heightOf = (rows: number): number => Math.min(rows * ROW, HEIGHT_MAX);

/** The first row, possibly a broken number, for a position of the scroll bar. */
export function rowAt(scrollTop: number, rows: number, shown: number): number {
  const room = heightOf(rows) - shown * ROW;
  if (room <= 0) return 0;
  return Math.min(1, Math.max(0, scrollTop / room)) * Math.max(0, rows - shown);
}

/** The position of the scroll bar at which this row is the first. */
export function scrollAt(row: number, rows: number, shown: number): number {
  const most = rows - shown;
  if (most <= 0) return 0;
  return (Math.min(most, Math.max(0, row)) / most) * (heightOf(rows) - shown * ROW);
}

/** The pages of `size` rows that hold the rows from `first` on, as their numbers. */
export function pagesOf(first: number, shown: number, size: number): number[] {
  const from = Math.floor(Math.max(0, first) / size);
  const to = Math.floor(Math.max(0, first + shown) / size);
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}
