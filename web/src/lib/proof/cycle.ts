// A circle of operations as a report holds it, and where it stands on paper.

import type { Json } from "../../api/types";
import { list, object, text } from "../json";

export interface Step {
  from: number;
  to: number;
  /** `ww`, `wr`, `rw`, `process` or `realtime`. */
  rel: string;
  text: string;
}

/** The edges of an example, in order; empty when it is no circle. */
export function stepsOf(other: [string, Json][]): Step[] {
  const raw = other.find(([name]) => name === "steps")?.[1];
  return list(raw).flatMap((v) => {
    const { from, to, type, text: why } = object(v);
    if (typeof from !== "number" || typeof to !== "number") return [];
    return [{ from, to, rel: text(type), text: text(why) }];
  });
}

/** The operations of a circle in order. */
export const nodesOf = (steps: Step[]): number[] => [...new Set(steps.flatMap((s) => [s.from, s.to]))];

export interface Spot {
  op: number;
  x: number;
  y: number;
}

/** Places on an ellipse, the first at the top, clockwise. */
export function spots(ops: number[], width: number, height: number): Spot[] {
  return ops.map((op, i) => {
    const angle = (2 * Math.PI * i) / ops.length - Math.PI / 2;
    return { op, x: width / 2 + (width / 2) * Math.cos(angle), y: height / 2 + (height / 2) * Math.sin(angle) };
  });
}

/** An arc from one spot to another that keeps clear of both, and the place of its label. */
export function arc(a: Spot, b: Spot, clear: number, bend: number): { d: string; x: number; y: number } {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = Math.max(1, Math.hypot(dx, dy));
  const [mx, my] = [(a.x + b.x) / 2 - (dy / length) * -bend, (a.y + b.y) / 2 - (dx / length) * bend];
  const towards = (from: Spot, x: number, y: number) => {
    const d = Math.max(1, Math.hypot(x - from.x, y - from.y));
    return [from.x + ((x - from.x) / d) * clear, from.y + ((y - from.y) / d) * clear] as const;
  };
  const [sx, sy] = towards(a, mx, my);
  const [ex, ey] = towards(b, mx, my);
  const round = (n: number) => n.toFixed(1);
  return {
    d: `M${round(sx)} ${round(sy)}Q${round(mx)} ${round(my)} ${round(ex)} ${round(ey)}`,
    x: (sx + 2 * mx + ex) / 4,
    y: (sy + 2 * my + ey) / 4,
  };
}
