// Figures that a plan was held against: what was asked for, what came out.

import type { Json } from "../api/types";
import { object, text } from "../lib/json";
import { Section, Shape } from "./basics";

export interface Goal {
  name: string;
  /** What was aimed at; empty for a figure without a goal. */
  aim: string;
  measured: string;
  met: boolean | null;
}

/** The goals of a report; empty when its plan had none. */
export function goalsOf(report: Json): Goal[] {
  const raw = object(report)["goals"];
  if (!Array.isArray(raw)) return [];
  return raw.map((g) => {
    const { name, aim, measured, met } = object(g);
    return { name: text(name), aim: text(aim), measured: text(measured), met: typeof met === "boolean" ? met : null };
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
                <td>{g.aim}</td>
                <td>{g.measured}</td>
                <td>
                  {g.met === null ? null : (
                    <span class={`verdict small verdict-${g.met ? "valid" : "invalid"}`}>
                      <Shape kind={g.met ? "valid" : "invalid"} size={12} />
                      <span>{g.met ? "met" : "missed"}</span>
                    </span>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  );
}
