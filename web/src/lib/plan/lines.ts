// Where the parts of a TOML text stand.

const HEADER = /^\s*\[{1,2}\s*([^\]]+?)\s*\]{1,2}/;
const KEY = /^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=/;

/** The parts of a dotted key, without quotes. */
const partsOf = (key: string): string[] =>
  [...key.matchAll(/[\w-]+|"([^"]*)"|'([^']*)'/g)].map((m) => m[1] ?? m[2] ?? m[0]);

/**
 * The line, from 1, on which a path begins: that of its key, or of the nearest part of it that has a line of its own.
 * Null for the whole text. Numbers in a path count the tables of an array, written [[name]].
 */
export function lineOf(toml: string, path: string[]): number | null {
  let best: { depth: number; line: number } | null = null;
  let table: string[] = [];
  const seen = new Map<string, number>();
  const offer = (full: string[], line: number) => {
    const fits = full.length <= path.length && full.every((part, i) => part === path[i]);
    if (fits && (best === null || full.length > best.depth)) best = { depth: full.length, line };
  };
  toml.split("\n").forEach((text, i) => {
    const header = HEADER.exec(text)?.[1];
    if (header !== undefined) {
      table = partsOf(header);
      if (/^\s*\[\[/.test(text)) {
        const name = table.join(".");
        const n = seen.get(name) ?? 0;
        seen.set(name, n + 1);
        table = [...table, String(n)];
      }
      offer(table, i + 1);
      return;
    }
    const key = KEY.exec(text)?.[1];
    if (key !== undefined) offer([...table, ...partsOf(key)], i + 1);
  });
  return (best as { line: number } | null)?.line ?? null;
}
