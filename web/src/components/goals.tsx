// Figures that a plan was held against: what was asked for, what came out.

import type { Json, JsonObject } from "../api/types";
import { integer, millis } from "../lib/format";
import { Section, Shape } from "./basics";

export interface Goal {
  name: string;
  goal: string;
  value: string;
  met: boolean | null;
}

const object = (v: Json | undefined): JsonObject => (v !== null && typeof v === "object" && !Array.isArray(v) ? v : {});

function amount(v: Json | undefined, unit: string): string {
  if (v === null || v === undefined) return "not known";
  if (typeof v !== "number") return typeof v === "string" ? v : JSON.stringify(v);
  return unit === "ms" ? millis(v) : `${Number.isInteger(v) ? integer(v) : v}${unit === "" ? "" : ` ${unit}`}`;
}

/** The goals of a report; empty when its plan had none. */
export function goalsOf(report: Json): Goal[] {
  const raw = object(report)["goals"];
  if (!Array.isArray(raw)) return [];
  return raw.map((g) => {
    const o = object(g);
    const unit = typeof o["unit"] === "string" ? o["unit"] : "";
    return {
      name: String(o["name"] ?? ""),
      goal: amount(o["goal"], unit),
      value: amount(o["value"], unit),
      met: typeof o["met"] === "boolean" ? o["met"] : null,
    };
  });
}

export function Goals({ raw }: { raw: Json }) {
  const goals = goalsOf(raw);
  if (goals.length === 0) return null;
  return (
    <Section id="goals" title="Goals">
      <div class="scroll">
        <table class="compare-figures">
          <thead>
            <tr>
              <th scope="col">Figure</th>
              <th scope="col">Goal</th>
              <th scope="col">Measured</th>
              <th scope="col">Met</th>
            </tr>
          </thead>
          <tbody>
            {goals.map((g) => (
              <tr key={g.name}>
                <th scope="row">{g.name}</th>
                <td>{g.goal}</td>
                <td>{g.value}</td>
                <td>
                  <span class={`verdict small verdict-${g.met === null ? "unknown" : g.met ? "valid" : "invalid"}`}>
                    <Shape kind={g.met === null ? "unknown" : g.met ? "valid" : "invalid"} size={12} />
                    <span>{g.met === null ? "not known" : g.met ? "met" : "missed"}</span>
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  );
}
