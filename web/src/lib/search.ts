// The search field of the operation table: words such as `key:orders-2 offset:118 type:info`.

export interface OperationSearch {
  params: Record<string, string>;
  /** Words that were not understood, with the reason. */
  problems: string[];
}

const FIELDS: Record<string, string> = {
  process: "process",
  p: "process",
  f: "f",
  type: "type",
  outcome: "type",
  key: "key",
  k: "key",
  offset: "offset",
  o: "offset",
  value: "value",
  v: "value",
  error: "error",
  op: "index",
  index: "index",
};

const OUTCOMES = new Set(["ok", "fail", "info", "open"]);
const WHO = new Set(["nemesis", "cluster", "all"]);

/** The words of the text; a part in double quotes may hold blanks. */
function words(text: string): string[] {
  return [...text.matchAll(/(?:[^\s"]|"[^"]*"?)+/g)].map((m) => m[0].replaceAll('"', ""));
}

/** What a bare word most likely means: an outcome, a role, a topic-partition, a number as value, an error code. */
function bare(word: string): [string, string] | null {
  if (OUTCOMES.has(word)) return ["type", word];
  if (WHO.has(word)) return ["process", word];
  if (/^(send|poll|txn|assign|subscribe|crash)$/.test(word)) return ["f", word];
  if (/^\d+$/.test(word)) return ["value", word];
  if (/^_[A-Z_]+$/.test(word) || /^[A-Z]{2,}(_[A-Z]+)+$/.test(word)) return ["error", word];
  if (/-\d+$/.test(word)) return ["key", word];
  return null;
}

export function parseSearch(text: string): OperationSearch {
  const search: OperationSearch = { params: {}, problems: [] };
  for (const word of words(text)) {
    const cut = /^([a-z]+):(.*)$/.exec(word);
    const field = cut ? FIELDS[cut[1] ?? ""] : undefined;
    const pair = field !== undefined ? ([field, cut?.[2] ?? ""] as const) : bare(word);
    if (pair === null) {
      search.problems.push(`“${word}” names no field: use process: f: type: key: offset: value: error: op:`);
    } else if (pair[1] === "") {
      // A field under way: nothing is asked yet.
    } else if (pair[0] === "type" && !OUTCOMES.has(pair[1])) {
      search.problems.push(`type is ok, fail, info or open, not “${pair[1]}”`);
    } else if (pair[0] === "offset" && !/^-?\d+$/.test(pair[1])) {
      search.problems.push(`an offset is a number, not “${pair[1]}”`);
    } else if (pair[0] === "process" && !WHO.has(pair[1]) && !/^\d+$/.test(pair[1])) {
      search.problems.push(`a process is a number, nemesis, cluster or all, not “${pair[1]}”`);
    } else if (pair[0] === "index" && !/^\d+(,\d+)*$/.test(pair[1])) {
      search.problems.push(`op takes numbers, not “${pair[1]}”`);
    } else {
      search.params[pair[0]] = pair[1];
    }
  }
  return search;
}

/** Puts a field into the text, replacing an older one; an empty value takes it out. */
export function withField(text: string, field: string, value: string): string {
  const kept = words(text).filter((w) => {
    const cut = /^([a-z]+):/.exec(w);
    const name = cut ? FIELDS[cut[1] ?? ""] : bare(w)?.[0];
    return name !== field;
  });
  const quoted = /\s/.test(value) ? `"${value}"` : value;
  return [...kept, ...(value === "" ? [] : [`${field}:${quoted}`])].join(" ");
}
