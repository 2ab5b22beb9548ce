// What may stand in a plan, read from its JSON Schema: one row for each key.

import type { Json, JsonObject } from "../../api/types";

export interface Field {
  /** The table that it stands in; empty at the top. */
  table: string;
  name: string;
  /** "text", "number", "list of text", "kill or pause". */
  kind: string;
  text: string;
  fallback: Json | undefined;
  required: boolean;
}

const isObject = (v: Json | undefined): v is JsonObject => v !== null && typeof v === "object" && !Array.isArray(v);
const DEPTH_MAX = 4;

/** Follows `$ref`, and the one part of `allOf` and `anyOf` that says more than null. */
function resolved(node: Json | undefined, root: JsonObject, depth = 0): JsonObject {
  if (!isObject(node) || depth > 8) return {};
  const ref = node["$ref"];
  if (typeof ref === "string") {
    const target = ref
      .replace(/^#\//, "")
      .split("/")
      .reduce<Json | undefined>((at, part) => (isObject(at) ? at[part] : undefined), root);
    const { $ref: _, ...own } = node;
    return { ...resolved(target, root, depth + 1), ...own };
  }
  for (const word of ["allOf", "anyOf"] as const) {
    const options = node[word];
    if (!Array.isArray(options)) continue;
    const real = options.filter((o) => isObject(o) && o["type"] !== "null");
    if (real.length === 1) {
      const { [word]: _, ...own } = node;
      return { ...resolved(real[0], root, depth + 1), ...own };
    }
  }
  return node;
}

const WORDS: Record<string, string> = {
  string: "text",
  integer: "whole number",
  number: "number",
  boolean: "true or false",
  object: "table",
};

function kindOf(schema: JsonObject, root: JsonObject, depth = 0): string {
  const options = schema["enum"] ?? (Array.isArray(schema["oneOf"]) ? constants(schema["oneOf"]) : undefined);
  if (Array.isArray(options) && options.length > 0) return options.map((o) => JSON.stringify(o)).join(" or ");
  const either = schema["anyOf"] ?? schema["oneOf"];
  if (Array.isArray(either) && depth < 3) {
    const kinds = either.map((e) => kindOf(resolved(e, root), root, depth + 1)).filter((k) => k !== "null");
    return [...new Set(kinds)].join(" or ");
  }
  const types = [schema["type"]].flat().filter((t): t is string => typeof t === "string" && t !== "null");
  if (types.includes("array"))
    return depth < 3 ? `list of ${kindOf(resolved(schema["items"], root), root, depth + 1)}` : "list";
  return types.map((t) => WORDS[t] ?? t).join(" or ") || "anything";
}

/** The constants of a choice whose every part is one; undefined otherwise. */
function constants(options: Json[]): Json[] | undefined {
  const values = options.flatMap((o) =>
    isObject(o) ? (Array.isArray(o["enum"]) ? o["enum"] : "const" in o ? [o["const"] as Json] : []) : [],
  );
  return values.length >= options.length ? values : undefined;
}

export function fieldsOf(schema: JsonObject): Field[] {
  const found: Field[] = [];
  const walk = (node: JsonObject, table: string, depth: number) => {
    const required = new Set(Array.isArray(node["required"]) ? node["required"] : []);
    const properties = isObject(node["properties"]) ? node["properties"] : {};
    const inner: [JsonObject, string][] = [];
    for (const [name, raw] of Object.entries(properties)) {
      const at = resolved(raw, schema);
      const items = resolved(at["items"], schema);
      const text = typeof at["description"] === "string" ? at["description"] : "";
      found.push({
        table,
        name,
        kind: kindOf(at, schema),
        text,
        fallback: at["default"],
        required: required.has(name),
      });
      const path = table === "" ? name : `${table}.${name}`;
      if (isObject(at["properties"])) inner.push([at, path]);
      else if (isObject(items["properties"])) inner.push([items, path]);
    }
    if (depth < DEPTH_MAX) for (const [next, path] of inner) walk(next, path, depth + 1);
  };
  walk(resolved(schema, schema), "", 0);
  return found;
}

/** A line of TOML that sets the field to its default, or to something of its kind. */
export function sample(field: Field): string {
  const value =
    field.fallback ??
    (field.kind.startsWith("list")
      ? []
      : /number/.test(field.kind)
        ? 1
        : /^true/.test(field.kind)
          ? true
          : firstOption(field.kind));
  return `${field.name} = ${JSON.stringify(value)}`;
}

function firstOption(kind: string): string {
  return /^"([^"]*)"/.exec(kind)?.[1] ?? "";
}
