// The whole run over time: latency, rate, faults, leader changes; a brush that narrows it down.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api } from "../api/client";
import type { Point, Timeline } from "../api/types";
import {
  bandLabel,
  bandsAt,
  classes,
  leaderLabel,
  pointOf,
  tabulate,
  windowOf,
  withPoints,
} from "../lib/charts/layout";
import { describe, latencyChart, rateChart, unseenChart, type Hover, type Setup } from "../lib/charts/charts";
import { palette } from "../lib/charts/palette";
import { clock, integer, millis, plural, wall } from "../lib/format";
import { colours, open, place } from "../lib/state";
import { useFetch } from "../lib/use-fetch";
import { useWidth } from "../lib/use-width";
import { Outcome } from "./basics";
import { useRun } from "./run-context";

const NO_SERIES: { time: number; unseen: number }[] = [];

/** How many operations of anomalies are marked. */
const MARKS_MAX = 200;

/** The operations that the charts point out. */
export interface Pointed {
  violations: number[];
  open: number[];
}

export function Strip({ pointed }: { pointed: Pointed }) {
  const run = useRun();
  const window = place.value.window;
  const key = window === null ? null : `${run.id} ${window.from} ${window.to}`;
  const zoomed = useFetch(key, (s) => api.timeline(run.id, { from: window?.from, to: window?.to }, s));
  const [hidden, setHidden] = useState<Set<string>>(new Set());
  const wanted = [...new Set([...pointed.open, ...pointed.violations])].slice(0, MARKS_MAX).join();
  const marked = useFetch(wanted === "" ? null : `${run.id} ${wanted}`, (s) =>
    api.operations(run.id, { index: wanted }, s),
  );
  const points = useMemo(() => (marked.data?.operations ?? []).map(pointOf).filter((p) => p !== null), [marked.data]);
  const whole = run.timeline;
  const timeline = useMemo(
    () => whole && withPoints(inWindow(whole, window, zoomed.data), points),
    [whole, window, zoomed.data, points],
  );
  if (whole === null || timeline === null) return null;
  return (
    <div class="strip">
      <Windows whole={whole} />
      <Legend timeline={timeline} hidden={hidden} setHidden={setHidden} violations={pointed.violations.length > 0} />
      <Charts timeline={timeline} hidden={hidden} pointed={pointed} />
      <Caption timeline={timeline} />
      <DataTable timeline={timeline} />
    </div>
  );
}

/** The window as the server sent it; until then the part of the whole that is already here. */
function inWindow(whole: Timeline, window: { from: number; to: number } | null, zoomed: Timeline | null): Timeline {
  if (window === null) return whole;
  return zoomed ?? { ...whole, from: window.from, to: Math.max(window.from + 1, Math.min(window.to, whole.duration)) };
}

/** Buttons for the windows that matter: the whole run, and each fault. */
function Windows({ whole }: { whole: Timeline }) {
  const window = place.value.window;
  const is = (from: number, to: number) => window !== null && window.from === from && window.to === to;
  const known = whole.bands.slice(0, 40).map((band) => ({ band, ...windowOf(band, whole.duration) }));
  const free = window !== null && !known.some((k) => is(k.from, k.to));
  return (
    <div class="windows" role="group" aria-label="Window of time">
      <button
        type="button"
        class="chip"
        aria-pressed={window === null}
        onClick={() => open({ window: null }, "replace")}
      >
        Whole run
      </button>
      {known.map(({ band, from, to }) => (
        <button
          type="button"
          class="chip"
          key={band.fault}
          aria-pressed={is(from, to)}
          onClick={() => open({ window: { from, to } }, "replace")}
          title={`${bandLabel(band, true)}, ${clock(band.start)}`}
        >
          {bandLabel(band)} <span class="quiet">{clock(band.start).replace(/\.\d+/, "")}</span>
        </button>
      ))}
      {free && window && (
        <span class="chip" aria-current="true">
          {clock(window.from)} – {clock(window.to)}
        </span>
      )}
    </div>
  );
}

function glyph(name: string) {
  const [f, type] = name.split(" ");
  if (type === "fail") return <path d="M3 3 11 11M11 3 3 11" />;
  if (f === "send") return <circle cx="7" cy="7" r="4" />;
  if (f === "poll") return <path d="M7 2 12 11H2Z" />;
  if (f === "txn") return <path d="M7 1.5 12.5 7 7 12.5 1.5 7Z" />;
  return <rect x="3" y="3" width="8" height="8" />;
}

interface LegendProps {
  timeline: Timeline;
  hidden: Set<string>;
  setHidden: (s: Set<string>) => void;
  violations: boolean;
}

function Legend({ timeline, hidden, setHidden, violations }: LegendProps) {
  const toggle = (name: string) => {
    const next = new Set(hidden);
    if (!next.delete(name)) next.add(name);
    setHidden(next);
  };
  return (
    <div class="legend" role="group" aria-label="What is drawn">
      {classes(timeline.points).map(([name, n]) => (
        <button
          type="button"
          key={name}
          class={`legend-item outcome-${name.split(" ").at(-1)}`}
          aria-pressed={!hidden.has(name)}
          onClick={() => toggle(name)}
        >
          <svg
            class={name.endsWith(" ok") ? "glyph filled" : "glyph"}
            width="14"
            height="14"
            viewBox="0 0 14 14"
            aria-hidden="true"
          >
            {glyph(name)}
          </svg>
          {name} <span class="quiet">{integer(n)}</span>
        </button>
      ))}
      <span class="legend-item still">
        <span class="swatch-band" aria-hidden="true" /> fault
      </span>
      <span class="legend-item still">
        <span class="swatch-leader" aria-hidden="true">
          ▼
        </span>{" "}
        leader change
      </span>
      {violations && (
        <span class="legend-item still">
          <svg class="glyph alarm" width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">
            {glyph("txn")}
          </svg>{" "}
          part of a violation
        </span>
      )}
    </div>
  );
}

function Charts({ timeline, hidden, pointed }: { timeline: Timeline; hidden: Set<string>; pointed: Pointed }) {
  const [box, width] = useWidth<HTMLDivElement>();
  const latency = useRef<HTMLDivElement>(null);
  const rate = useRef<HTMLDivElement>(null);
  const unread = useRef<HTMLDivElement>(null);
  const unseen = useRun().report?.unseenSeries ?? NO_SERIES;
  const [hover, setHover] = useState<Hover | null>(null);
  const marks = JSON.stringify(pointed);
  useEffect(() => {
    if (width < 50 || !latency.current || !rate.current || !unread.current) return;
    const setup: Setup = {
      timeline,
      hidden,
      colours: palette(),
      violations: new Set(pointed.violations),
      open: new Set(pointed.open),
      unseen,
      onWindow: (from, to) => open({ window: { from, to: Math.min(to, timeline.duration) } }, "replace"),
      onReset: () => open({ window: null }, "replace"),
      onHover: setHover,
      onOp: (op) => open({ op }),
    };
    const charts = [
      latencyChart(latency.current, setup, width, width < 600 ? 260 : 340),
      ...(unseen.length > 0 ? [unseenChart(unread.current, setup, width, 84)] : []),
      rateChart(rate.current, setup, width, 130),
    ];
    return () => {
      charts.forEach((c) => c.destroy());
      setHover(null);
    };
  }, [timeline, hidden, width, marks, unseen, colours.value]);
  return (
    <div class="charts" ref={box} role="img" aria-label={describe(timeline)}>
      <p class="chart-title">Latency of each operation</p>
      <div ref={latency} class="chart" />
      {unseen.length > 0 && <p class="chart-title">Acknowledged and not yet read</p>}
      <div ref={unread} class="chart" />
      <p class="chart-title">Completed per second</p>
      <div ref={rate} class="chart" />
      {hover && <Tooltip hover={hover} timeline={timeline} width={width} />}
    </div>
  );
}

function Tooltip({ hover, timeline, width }: { hover: Hover; timeline: Timeline; width: number }) {
  const run = useRun();
  const faults = bandsAt(timeline.bands, hover.t);
  const leaders = timeline.leaders.filter((l) => Math.abs(l.t - hover.t) < 5 * hover.pixel);
  const flip = hover.left > width * 0.6;
  const style = flip
    ? { right: `${width - hover.left + 14}px`, top: `${hover.top + 20}px` }
    : { left: `${hover.left + 14}px`, top: `${hover.top + 20}px` };
  return (
    <div class="tooltip" style={style} aria-hidden="true">
      <div class="tooltip-time">
        {clock(hover.t)} <span class="quiet">{wall(run.started, hover.t)?.slice(11)}</span>
      </div>
      {faults.map((b) => (
        <div key={b.fault}>
          fault {b.fault}: {bandLabel(b, true)}
        </div>
      ))}
      {leaders.slice(0, 4).map((l, i) => (
        <div key={i}>{leaderLabel(l)}</div>
      ))}
      {leaders.length > 4 && <div class="quiet">and {leaders.length - 4} more leader changes</div>}
      {hover.point && <PointLines point={hover.point} />}
    </div>
  );
}

function PointLines({ point }: { point: Point }) {
  return (
    <div class="tooltip-point">
      <Outcome type={point.type} /> {point.f} {point.key ?? ""} · {point.ms === null ? "no answer" : millis(point.ms)}
      <div class="quiet">op {point.i} · click to open</div>
    </div>
  );
}

function Caption({ timeline }: { timeline: Timeline }) {
  return (
    <p class="caption">
      {timeline.sampled
        ? `${integer(timeline.points.length)} of ${plural(timeline.operations, "operation")} are drawn: the rare outcomes first, of the others the slowest and an even sample. A narrower window shows more.`
        : `All ${plural(timeline.operations, "operation")} of this window are drawn.`}{" "}
      Drag over a chart to narrow the window, double-click to see the whole run, click a point to open its operation.
    </p>
  );
}

/** The same data for screen readers and for copying. */
function DataTable({ timeline }: { timeline: Timeline }) {
  const [shown, setShown] = useState(false);
  const rows = useMemo(() => (shown ? tabulate(timeline, 40) : []), [shown, timeline]);
  return (
    <details class="data-table" onToggle={(e) => setShown(e.currentTarget.open)}>
      <summary>These charts as a table</summary>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">From</th>
              <th scope="col">To</th>
              <th scope="col" class="number">
                ok
              </th>
              <th scope="col" class="number">
                fail
              </th>
              <th scope="col" class="number">
                info
              </th>
              <th scope="col" class="number">
                Slowest
              </th>
              <th scope="col" class="number">
                Leader changes
              </th>
              <th scope="col">Faults</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((r) => (
              <tr key={r.from}>
                <td>{clock(r.from)}</td>
                <td>{clock(r.to)}</td>
                <td class="number">{integer(r.ok)}</td>
                <td class="number">{integer(r.fail)}</td>
                <td class="number">{integer(r.info)}</td>
                <td class="number">{millis(r.slowestMs)}</td>
                <td class="number">{r.leaders === 0 ? "" : r.leaders}</td>
                <td>{r.faults}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
