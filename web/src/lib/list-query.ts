// What is asked of the list of runs: part of the address, so that a search can be linked.

/** The filters, in the order of the page. All are texts; empty ones do not restrict. */
export const FIELDS = [
  "q",
  "verdict",
  "status",
  "name",
  "workload",
  "cluster",
  "nemesis",
  "anomaly",
  "since",
  "until",
  "sort",
  "group",
] as const;

export type Field = (typeof FIELDS)[number];

export type ListQuery = Record<Field, string> & {
  page: number;
  /** Runs that are chosen for a comparison, at most two. */
  pick: string[];
};

export const PAGE = 50;

export function readQuery(search: string): ListQuery {
  const params = new URLSearchParams(search);
  const fields = Object.fromEntries(FIELDS.map((f) => [f, params.get(f) ?? ""])) as Record<Field, string>;
  return {
    ...fields,
    page: Math.max(0, Math.floor(Number(params.get("page") ?? 0)) || 0),
    pick: params.getAll("pick").slice(0, 2),
  };
}

export function writeQuery(query: ListQuery): string {
  const given: [string, string][] = FIELDS.map((f): [string, string] => [f, query[f]]).filter(([, v]) => v !== "");
  if (query.page > 0) given.push(["page", String(query.page)]);
  for (const id of query.pick) given.push(["pick", id]);
  const text = new URLSearchParams(given).toString();
  return text === "" ? "" : `?${text}`;
}

/** What the API is asked. A day stands for its whole: from its first moment, up to its last. */
export function listParams(query: ListQuery): Record<string, string | number> {
  const fields = Object.fromEntries(FIELDS.map((f) => [f, query[f].trim()]));
  const day = (text: string, time: string) => (/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T${time}Z` : text);
  return {
    ...fields,
    since: day(query.since, "00:00:00.000"),
    until: day(query.until, "23:59:59.999"),
    limit: PAGE,
    offset: query.page * PAGE,
  };
}

/** How many filters of the second row are in force. */
export const hidden = (query: ListQuery): number =>
  (["status", "name", "workload", "cluster", "nemesis", "anomaly", "since", "until"] as const).filter(
    (f) => query[f] !== "",
  ).length;

/** The choice with this run in it or out of it; the older of two makes room for a third. */
export const picked = (pick: string[], id: string): string[] =>
  pick.includes(id) ? pick.filter((p) => p !== id) : [...pick, id].slice(-2);
