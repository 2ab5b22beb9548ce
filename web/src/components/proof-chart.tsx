// The few operations that prove an anomaly: clients down, time across, faults and leaders behind them.

import type { Band, Operation, Timeline } from "../api/types";
import { bandLabel } from "../lib/charts/layout";
import { clock, millis } from "../lib/format";
import { last, tookMs } from "../lib/operation";
import {
  type About,
  type Bar,
  bars,
  faultsIn,
  reigns,
  type Reign,
  scale,
  type Scale,
  spaced,
} from "../lib/proof/layout";
import { open, place } from "../lib/state";
import { useWidth } from "../lib/use-width";
import { OpLink, Outcome } from "./basics";

const GUTTER = 92;
const ROW = 40;
const BAND_ROW = 18;
const LEADER = 24;
const FOOT = 26;
const RIGHT = 18;

interface Props {
  operations: Operation[];
  about: About;
  fault: number | null;
  timeline: Timeline | null;
}

export function ProofChart({ operations, about, fault, timeline }: Props) {
  const [box, width] = useWidth<HTMLDivElement>();
  const all = bars(operations, about);
  if (all.length === 0) return null;
  const begin = Math.min(...all.map((b) => b.from));
  const end = Math.max(...all.map((b) => b.to ?? b.from));
  const faults = faultsIn(timeline?.bands ?? [], begin, end, fault);
  const leaders = about.key === null ? [] : reigns(timeline?.leaders ?? [], about.key, begin, end);
  return (
    <figure class="proof">
      <div ref={box}>
        {width > 0 && (
          <Picture all={all} faults={faults} leaders={leaders} width={Math.max(560, width)} about={about} />
        )}
      </div>
      <figcaption class="caption">
        A filled bar is ok, a bar with an open end is info (it may have taken effect later), a crossed bar is fail. The
        axis leaves out most of the time in which nothing of this happened. Press a bar to open its operation.
      </figcaption>
      <Table all={all} />
    </figure>
  );
}

interface Sizes {
  top: number;
  height: number;
  plot: number;
  x: Scale;
}

function Picture({
  all,
  faults,
  leaders,
  width,
  about,
}: {
  all: Bar[];
  faults: Band[];
  leaders: Reign[];
  width: number;
  about: About;
}) {
  const plot = width - GUTTER - RIGHT;
  const [begin, end] = [Math.min(...all.map((b) => b.from)), Math.max(...all.map((b) => b.to ?? b.from))];
  const near = (t: number) => t >= begin - 2e9 && t <= end + 2e9;
  const moments = [
    ...all.flatMap((b) => (b.to === null ? [b.from] : [b.from, b.to])),
    ...faults.flatMap((f) => [f.start, f.end].filter(near)),
    ...leaders.flatMap((l) => [l.from, l.to]),
  ];
  const x = scale(moments, plot);
  const top = faults.length * BAND_ROW + (leaders.length > 0 ? LEADER : 0) + 8;
  const height = top + all.length * ROW + FOOT;
  const sizes = { top, height, plot, x };
  const text = `${all.length} operations of ${new Set(all.map((b) => b.process)).size} processes from ${clock(begin)} to ${clock(end)}, with ${faults.length} faults and ${Math.max(0, leaders.length - 1)} leader changes. The table below has the same.`;
  return (
    <div class="scroll">
      <svg
        class="proof-svg"
        width={width}
        height={height}
        viewBox={`0 0 ${width} ${height}`}
        role="group"
        aria-label={text}
      >
        <defs>
          <pattern id="crossed" width="7" height="7" patternUnits="userSpaceOnUse">
            <path class="crossed" d="M0 7 7 0" />
          </pattern>
        </defs>
        <g transform={`translate(${GUTTER} 0)`}>
          <Faults faults={faults} of={sizes} />
          {leaders.length > 0 && about.key !== null && (
            <Leaders leaders={leaders} of={sizes} y={faults.length * BAND_ROW + 4} about={about.key} />
          )}
          <Axis of={sizes} />
          {all.map((bar, i) => (
            <BarRow key={bar.index} bar={bar} y={top + i * ROW} of={sizes} same={all[i - 1]?.process === bar.process} />
          ))}
        </g>
      </svg>
    </div>
  );
}

function Faults({ faults, of: { height, plot, x } }: { faults: Band[]; of: Sizes }) {
  return (
    <>
      {faults.map((f, i) => {
        const [from, to] = [Math.max(0, x.at(f.start)), Math.min(plot, x.at(f.end))];
        const label = `fault ${f.fault}: ${bandLabel(f, true)}${f.witnessed === false ? " (not witnessed)" : ""}`;
        const left = from > plot * 0.6;
        return (
          <g key={f.fault}>
            <rect
              class={f.witnessed === false ? "proof-band faint" : "proof-band"}
              x={from}
              y={i * BAND_ROW + 14}
              width={Math.max(2, to - from)}
              height={height - FOOT - i * BAND_ROW - 14}
            />
            <text
              class="proof-note"
              x={left ? Math.max(to, from) : from}
              y={i * BAND_ROW + 11}
              text-anchor={left ? "end" : "start"}
            >
              {label}
            </text>
          </g>
        );
      })}
    </>
  );
}

function Leaders({ leaders, of: { x }, y, about }: { leaders: Reign[]; of: Sizes; y: number; about: string }) {
  return (
    <g aria-label={`Leaders of ${about}`}>
      <text class="proof-process" x={-10} y={y + 13} text-anchor="end">
        leader
      </text>
      {leaders.map((l) => {
        const [from, to] = [x.at(l.from), x.at(l.to)];
        const label = l.node === null ? "no leader" : `node ${l.node}${l.epoch === null ? "" : ` · epoch ${l.epoch}`}`;
        const fits = label.length * 6.6 < to - from - 8 ? label : (l.node ?? "–");
        return (
          <g key={l.from}>
            <title>{`${label}, from ${clock(l.from)} to ${clock(l.to)}`}</title>
            <rect
              class={l.node === null ? "proof-leader nobody" : "proof-leader"}
              x={from}
              y={y}
              width={Math.max(1, to - from)}
              height={18}
            />
            {fits.length * 6.6 < to - from && (
              <text class="proof-note" x={from + 5} y={y + 13}>
                {fits}
              </text>
            )}
          </g>
        );
      })}
    </g>
  );
}

function Axis({ of: { height, top, x, plot } }: { of: Sizes }) {
  const y = height - FOOT;
  return (
    <g>
      {x.stops.map((s) => (
        <path key={s.t} class="proof-grid" d={`M${s.x} ${top}V${y}`} />
      ))}
      <path class="proof-axis" d={`M0 ${y}H${plot}`} />
      {spaced(x.stops, 74).map((s) => (
        <text
          key={s.t}
          class="proof-time"
          x={s.x}
          y={y + 16}
          text-anchor={s.x > plot - 30 ? "end" : s.x < 30 ? "start" : "middle"}
        >
          {clock(s.t)}
        </text>
      ))}
    </g>
  );
}

const CHAR = 7.3;

function BarRow({ bar, y, of: { x, plot }, same }: { bar: Bar; y: number; of: Sizes; same: boolean }) {
  const from = x.at(bar.from);
  const to = bar.to === null ? plot : x.at(bar.to);
  const text = `${bar.index}  ${bar.text}`;
  const left = from + text.length * CHAR > plot;
  const show = (e: MouseEvent) => {
    e.preventDefault();
    open({ op: bar.index });
  };
  const label = `Operation ${bar.index} of process ${bar.process}: ${bar.text}, ${bar.outcome}, ${took(bar)}`;
  const here = place.value.op === bar.index;
  return (
    <g>
      {!same && (
        <text class="proof-process" x={-10} y={y + 30} text-anchor="end">
          {/^\d+$/.test(bar.process) ? `process ${bar.process}` : bar.process}
        </text>
      )}
      <a href={`#op=${bar.index}`} onClick={show} aria-label={label} class={here ? "proof-op here" : "proof-op"}>
        <title>{label}</title>
        <rect
          class="proof-hit"
          x={Math.min(from, left ? plot - text.length * CHAR : from)}
          y={y + 2}
          width={Math.max(to - from, text.length * CHAR)}
          height={ROW - 4}
        />
        <text class="proof-text" x={left ? plot : from} y={y + 15} text-anchor={left ? "end" : "start"}>
          {text}
        </text>
        <Body bar={bar} from={from} to={to} y={y + 21} />
      </a>
    </g>
  );
}

/** The bar itself; how it ended reads from its shape. */
function Body({ bar, from, to, y }: { bar: Bar; from: number; to: number; y: number }) {
  const width = Math.max(5, to - from);
  if (bar.to === null) {
    return (
      <path
        class="proof-bar outcome-info"
        d={`M${from + width - 9} ${y}H${from}V${y + 12}H${from + width - 9}M${from + width - 14} ${y - 2}l10 8l-10 8`}
      />
    );
  }
  return (
    <>
      <rect class={`proof-bar outcome-${bar.outcome}`} x={from} y={y} width={width} height={12} />
      {bar.outcome === "fail" && <rect fill="url(#crossed)" x={from} y={y} width={width} height={12} />}
    </>
  );
}

const took = (bar: Bar): string =>
  bar.op.complete === null ? "never completed" : `${clock(bar.from)}, took ${millis(tookMs(bar.op))}`;

function Table({ all }: { all: Bar[] }) {
  return (
    <details class="data-table">
      <summary>This picture as a table</summary>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">Operation</th>
              <th scope="col">Process</th>
              <th scope="col">Invoked</th>
              <th scope="col">Took</th>
              <th scope="col">Outcome</th>
              <th scope="col">What it says</th>
            </tr>
          </thead>
          <tbody>
            {all.map((b) => (
              <tr key={b.index}>
                <td>
                  <OpLink op={b.index} />
                </td>
                <td>{b.process}</td>
                <td class="nowrap">{clock(b.from)}</td>
                <td class="nowrap">{b.op.complete === null ? "never completed" : millis(tookMs(b.op))}</td>
                <td>
                  <Outcome type={b.outcome} /> {last(b.op).error?.code ?? ""}
                </td>
                <td>{b.text}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
