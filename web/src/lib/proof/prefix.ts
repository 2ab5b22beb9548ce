// The longest linearizable prefix of an object, as a report holds it.

import type { Json, JsonObject } from "../../api/types";
import { list, numbers, object } from "../json";

export interface Attempt {
  tail: number[];
  state: string;
  why: string;
}

export interface Prefix {
  /** The event at which no order fits any more. */
  end: number;
  /** How many operations could be put into an order, and the last of them in that order. */
  length: number;
  last: number[];
  attempts: Attempt[];
}

/** The event by which an operation is named: where it returned, or where it was invoked. */
function shown(v: Json): number[] {
  if (typeof v === "number") return [v];
  const { ret, invoke } = object(v);
  return typeof ret === "number" ? [ret] : typeof invoke === "number" ? [invoke] : [];
}

/** Null when the example is of another kind. */
export function prefixOf(other: [string, Json][]): Prefix | null {
  const fields: JsonObject = Object.fromEntries(other);
  const end = fields["prefix_end"];
  if (typeof end !== "number") return null;
  const last = numbers(fields["prefix"]);
  const attempts = list(fields["attempts"]);
  return {
    end,
    length: typeof fields["prefix_length"] === "number" ? fields["prefix_length"] : last.length,
    last,
    attempts: attempts.map((raw) => {
      const o = object(raw);
      const tail = list(o["tail"]).flatMap(shown);
      return { tail, state: String(o["state"] ?? ""), why: String(o["why"] ?? "") };
    }),
  };
}
