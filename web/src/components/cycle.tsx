// A circle of dependencies: the drawing, and each edge as a sentence.

import { type Step, arc, nodesOf, spots } from "../lib/proof/cycle";
import { open } from "../lib/state";
import { OpLink } from "./basics";

const RELS: Record<string, string> = {
  ww: "wrote the version before",
  wr: "wrote what the other read",
  rw: "read the version before",
  process: "same process, earlier",
  realtime: "ended before the other began",
};

const [WIDTH, HEIGHT, PAD, RADIUS] = [460, 230, 62, 27];

export function Cycle({ steps }: { steps: Step[] }) {
  const nodes = nodesOf(steps);
  const name = (op: number) => `T${nodes.indexOf(op) + 1}`;
  const placed = spots(nodes, WIDTH, HEIGHT);
  const at = new Map(placed.map((s) => [s.op, s]));
  const text = `A circle of ${nodes.length} operations: ${steps.map((s) => `${name(s.from)} before ${name(s.to)} (${s.rel})`).join(", ")}.`;
  const show = (e: MouseEvent, op: number) => {
    e.preventDefault();
    open({ op });
  };
  return (
    <figure class="cycle">
      <svg viewBox={`${-PAD} ${-PAD} ${WIDTH + 2 * PAD} ${HEIGHT + 2 * PAD}`} role="group" aria-label={text}>
        <defs>
          <marker
            id="arrow"
            viewBox="0 0 10 10"
            refX="9"
            refY="5"
            markerWidth="8"
            markerHeight="8"
            orient="auto-start-reverse"
          >
            <path d="M0 0 10 5 0 10z" />
          </marker>
        </defs>
        {steps.map((s, i) => {
          const [a, b] = [at.get(s.from), at.get(s.to)];
          if (!a || !b) return null;
          const path = arc(a, b, RADIUS + 3, nodes.length < 3 ? 64 : 22);
          return (
            <g key={i}>
              <path class={`cycle-edge rel-${s.rel}`} d={path.d} marker-end="url(#arrow)" />
              <text class="cycle-label" x={path.x} y={path.y + 4} text-anchor="middle">
                {s.rel}
              </text>
            </g>
          );
        })}
        {placed.map((s) => (
          <a
            key={s.op}
            href={`#op=${s.op}`}
            onClick={(e) => show(e, s.op)}
            aria-label={`${name(s.op)}: operation ${s.op}`}
          >
            <circle class="cycle-node" cx={s.x} cy={s.y} r={RADIUS} />
            <text class="cycle-name" x={s.x} y={s.y} text-anchor="middle">
              {name(s.op)}
            </text>
            <text class="cycle-op" x={s.x} y={s.y + 14} text-anchor="middle">
              {s.op}
            </text>
          </a>
        ))}
      </svg>
      <div>
        <ol class="story cycle-steps">
          {steps.map((s, i) => (
            <li key={i}>
              {i === steps.length - 1 && steps.length > 1 ? "However, " : ""}
              <b>
                {name(s.from)} &lt; {name(s.to)}
              </b>{" "}
              {s.text === "" ? RELS[s.rel] : <>because {s.text}</>}. <OpLink op={s.from} /> <OpLink op={s.to} />
            </li>
          ))}
        </ol>
        <p>
          <b>A contradiction:</b> each of these operations would have to come before itself.
        </p>
        <p class="caption">
          {[...new Set(steps.map((s) => s.rel))].map((rel) => `${rel}: ${RELS[rel] ?? "depends"}`).join(" · ")}
        </p>
      </div>
    </figure>
  );
}
