// Checking a plan while it is typed: TOML first, then the published JSON Schema. The server's word comes after.

import { Validator, type Schema } from "@cfworker/json-schema";
import { parse, TomlError } from "smol-toml";
import type { JsonObject, PlanProblem } from "../../api/types";
import { lineOf } from "./lines";

/** What is wrong with the text as TOML; null if nothing. */
export function syntax(toml: string): PlanProblem | null {
  try {
    parse(toml);
    return null;
  } catch (e) {
    if (!(e instanceof TomlError)) throw e;
    const message = (e.message.split("\n")[0] ?? "").replace(/^Invalid TOML document: /, "");
    return {
      path: "",
      line: e.line,
      message: `not TOML: ${message}`,
      hint: "Strings stand in quotes; tables are written [name].",
    };
  }
}

/** Dates and large integers as JSON would have them. */
function asJson(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(asJson);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, asJson(v)]));
  }
  return value;
}

/** What the schema has to say of a plan that is TOML. Errors of inner parts come without those that only repeat them. */
export function shape(toml: string, schema: JsonObject): PlanProblem[] {
  const validator = new Validator(schema as Schema, "2020-12", false);
  const { errors } = validator.validate(asJson(parse(toml)));
  const telling = errors.filter(
    (e) =>
      !["properties", "items", "$ref", "additionalProperties", "allOf"].includes(e.keyword) ||
      e.keyword === "additionalProperties",
  );
  const seen = new Set<string>();
  return telling.flatMap((e) => {
    const path = e.instanceLocation.replace(/^#\/?/, "").split("/").filter(Boolean).map(decodeURIComponent);
    const message = e.error.replaceAll('"', "“").replace(/“([^“]*)“/g, "“$1”");
    const key = `${path.join(".")} ${message}`;
    if (seen.has(key)) return [];
    seen.add(key);
    return [{ path: path.join("."), line: lineOf(toml, path), message, hint: null }];
  });
}
