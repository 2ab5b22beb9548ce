import { describe, expect, it } from "vitest";
import { shape, syntax } from "./check";
import { fieldsOf, sample } from "./fields";
import { lineOf } from "./lines";

const SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  required: ["name"],
  additionalProperties: false,
  properties: {
    name: { type: "string", description: "What it is called." },
    repeats: { type: ["integer", "null"], minimum: 1, default: 1 },
    seeds: { type: "array", items: { type: "integer" } },
    faults: { type: "array", items: { $ref: "#/$defs/Fault" } },
    target: { anyOf: [{ $ref: "#/$defs/Target" }, { type: "null" }] },
  },
  $defs: {
    Fault: {
      type: "object",
      required: ["kind"],
      properties: { kind: { oneOf: [{ const: "kill" }, { const: "pause" }] }, every: { type: "string" } },
    },
    Target: { type: "string", enum: ["leader", "all"] },
  },
};

describe("checking a plan", () => {
  it("tells the line at which a text stops being TOML", () => {
    expect(syntax('name = "a"\n')).toBeNull();
    expect(syntax('name = "a"\nseeds = [1,\n\n[x]')?.line).toBeGreaterThanOrEqual(2);
  });
  it("finds nothing wrong with what the schema allows", () => {
    expect(shape('name = "a"\nseeds = [1, 2]\n[[faults]]\nkind = "kill"\n', SCHEMA)).toEqual([]);
  });
  it("names path and line of what it does not allow", () => {
    const found = shape('name = "a"\nrepeats = 0\n\n[[faults]]\nkind = "kill"\n[[faults]]\nkind = "pulse"\n', SCHEMA);
    expect(found.find((p) => p.path === "repeats")).toMatchObject({ line: 2 });
    expect(found.find((p) => p.path === "faults.1.kind")).toMatchObject({ line: 7 });
    expect(shape('nam = "a"\n', SCHEMA).some((p) => /nam/.test(p.message + p.path))).toBe(true);
  });
});

describe("lines of paths", () => {
  const toml = 'a = 1\n[t]\nb = 2\n"c.d" = 3\n[[xs]]\ny = 1\n[[xs]]\ny = 2\nz.w = 3\n';
  it("finds keys in tables and in arrays of tables", () => {
    expect(lineOf(toml, ["a"])).toBe(1);
    expect(lineOf(toml, ["t", "b"])).toBe(3);
    expect(lineOf(toml, ["t", "c.d"])).toBe(4);
    expect(lineOf(toml, ["xs", "1", "y"])).toBe(8);
    expect(lineOf(toml, ["xs", "1", "z", "w"])).toBe(9);
  });
  it("falls back to the nearest part that has a line", () => {
    expect(lineOf(toml, ["t", "missing"])).toBe(2);
    expect(lineOf(toml, ["nowhere"])).toBeNull();
  });
});

describe("the fields of a schema", () => {
  const fields = fieldsOf(SCHEMA);
  it("lists keys of all tables with their kinds", () => {
    expect(fields.map((f) => [f.table, f.name, f.kind])).toEqual([
      ["", "name", "text"],
      ["", "repeats", "whole number"],
      ["", "seeds", "list of whole number"],
      ["", "faults", "list of table"],
      ["", "target", '"leader" or "all"'],
      ["faults", "kind", '"kill" or "pause"'],
      ["faults", "every", "text"],
    ]);
    expect(fields[0]).toMatchObject({ required: true, text: "What it is called." });
  });
  it("offers a line that sets one", () => {
    expect(fields.map(sample).slice(0, 5)).toEqual([
      'name = ""',
      "repeats = 1",
      "seeds = []",
      "faults = []",
      'target = "leader"',
    ]);
  });
});
