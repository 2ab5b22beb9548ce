// Addresses: which run a path names, and, after '#', what is open on its page, so that a link shows the same again.

export interface Place {
  /** The operation in the drawer, by the index of an event. */
  op: number | null;
  /** The opened example: the anomaly's name and the example's number. */
  anomaly: { name: string; example: number } | null;
  /** The window of the charts, ns. */
  window: { from: number; to: number } | null;
  /** The search of the operation table. */
  search: string;
}

export const NOWHERE: Place = { op: null, anomaly: null, window: null, search: "" };

function natural(text: string | null | undefined): number | null {
  return text !== null && text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

export function readPlace(hash: string): Place {
  const params = new URLSearchParams(hash.replace(/^#/, ""));
  const cut = /^(.+?)(?:\/(\d{1,6}))?$/.exec(params.get("anomaly") ?? "");
  const [from, to] = [natural(params.get("from")), natural(params.get("to"))];
  return {
    op: natural(params.get("op")),
    anomaly: cut?.[1] ? { name: cut[1], example: Number(cut[2] ?? 0) } : null,
    window: from !== null && to !== null && from < to ? { from, to } : null,
    search: params.get("q") ?? "",
  };
}

export function writePlace(place: Place): string {
  const parts: string[] = [];
  if (place.anomaly) parts.push(`anomaly=${encodeURIComponent(place.anomaly.name)}/${place.anomaly.example}`);
  if (place.op !== null) parts.push(`op=${place.op}`);
  if (place.window) parts.push(`from=${Math.round(place.window.from)}`, `to=${Math.round(place.window.to)}`);
  if (place.search !== "") parts.push(`q=${encodeURIComponent(place.search)}`);
  return parts.length === 0 ? "" : `#${parts.join("&")}`;
}

/** The run that a path names: `/runs/{name}/{time}`. */
export function runOf(pathname: string): string | null {
  const cut = /^\/runs\/([^/]+)\/([^/]+)\/?$/.exec(pathname);
  const [name, time] = [partOf(cut?.[1]), partOf(cut?.[2])];
  return name === null || time === null ? null : `${name}/${time}`;
}

/** A part of a path, decoded; null when it would lead elsewhere once it stands in another path. */
export function partOf(text: string | undefined): string | null {
  try {
    const part = decodeURIComponent(text ?? "");
    return part === "" || part.startsWith(".") || /[/\\]/.test(part) ? null : part;
  } catch {
    return null;
  }
}
