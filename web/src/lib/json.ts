// Reading JSON of which nothing is promised: what is missing or of another kind reads as empty.

import type { Json, JsonObject } from "../api/types";

export const object = (v: Json | undefined): JsonObject =>
  v !== null && typeof v === "object" && !Array.isArray(v) ? v : {};

export const list = (v: Json | undefined): Json[] => (Array.isArray(v) ? v : []);

export const text = (v: Json | undefined): string =>
  typeof v === "string" ? v : typeof v === "number" ? String(v) : "";

/** A value for people: a list of words is read as one, everything else as JSON. */
export function plain(v: Json): string {
  if (typeof v === "string") return v;
  const words = list(v).filter((w) => typeof w === "string" || typeof w === "number");
  return Array.isArray(v) && v.length > 0 && words.length === v.length ? words.join(", ") : JSON.stringify(v);
}

export const numbers = (v: Json | undefined): number[] => list(v).filter((n) => typeof n === "number");
