// The charts of a run on one axis of time: latency of every operation, what was not yet read, operations per second.

import uPlot from "uplot";
import type { Point, Timeline } from "../../api/types";
import { clock, millis } from "../format";
import {
  drawBandLabels,
  drawBands,
  drawLeaders,
  drawPhases,
  drawPoints,
  drawRings,
  LANE,
  LANES_MAX,
  LEADER_ROW,
  pointAt,
} from "./draw";
import { classOf, lanes, latencyRange, lowerBound } from "./layout";
import type { Palette } from "./palette";

export interface Setup {
  timeline: Timeline;
  colours: Palette;
  /** Classes that are switched off, as `classOf` names them. */
  hidden: Set<string>;
  /** Indices of operations that take part in a violation, and of those that are open on the page. */
  violations: Set<number>;
  open: Set<number>;
  /** Acknowledged and not yet read, over the whole run; empty when the report has no such series. */
  unseen: { time: number; unseen: number }[];
  onWindow: (from: number, to: number) => void;
  onReset: () => void;
  onHover: (hover: Hover | null) => void;
  onOp: (index: number) => void;
}

export interface Hover {
  /** The moment under the pointer, ns. */
  t: number;
  point: Point | null;
  /** Where the tooltip goes, in CSS pixels from the chart's corner. */
  left: number;
  top: number;
  /** How many ns one pixel covers. */
  pixel: number;
}

const AXIS_FONT = `11px "IBM Plex Mono", monospace`;
/** The same for all charts, so that their moments stand under each other. */
const AXIS_WIDTH = 64;
/** Room for half of the last label. */
const RIGHT = 24;
const NEAR = 14;

function axis(colours: Palette, more: uPlot.Axis): uPlot.Axis {
  return {
    stroke: colours["ink-3"],
    font: AXIS_FONT,
    grid: { stroke: colours.rule, width: 1 },
    ticks: { stroke: colours.rule, width: 1, size: 4 },
    ...more,
  };
}

function timeAxis(setup: Setup, labels: boolean): uPlot.Axis {
  return axis(setup.colours, {
    space: 90,
    size: labels ? 26 : 8,
    values: (_u, ticks) => ticks.map((s) => (labels ? moment(s, ticks) : "")),
  });
}

/** A tick as short as the distance of the ticks allows. */
function moment(s: number, ticks: number[]): string {
  const step = (ticks[1] ?? s + 1) - (ticks[0] ?? s);
  const digits = step >= 1 ? 0 : step >= 0.1 ? 1 : step >= 0.01 ? 2 : 3;
  if (s < 60) return `${s.toFixed(digits)} s`;
  const minutes = Math.floor(s / 60 + 1e-9);
  return `${minutes}:${(s - minutes * 60).toFixed(digits).padStart(digits === 0 ? 2 : digits + 3, "0")}`;
}

/** A value lasts until the next one. */
const stepped = uPlot.paths.stepped?.({ align: 1 }) ?? (() => null);

/** What all charts share: no uPlot legend, a cursor in step, a drag that asks for a window. */
function shared(setup: Setup, width: number): Pick<uPlot.Options, "width" | "legend" | "cursor" | "scales" | "select"> {
  const { timeline } = setup;
  return {
    width,
    legend: { show: false },
    cursor: {
      y: false,
      points: { show: false },
      sync: { key: "run", setSeries: false },
      drag: { x: true, y: false, setScale: false, dist: 5 },
      bind: { dblclick: () => () => (setup.onReset(), null) },
    },
    select: { show: true, left: 0, top: 0, width: 0, height: 0 },
    scales: { x: { time: false, range: () => [timeline.from / 1e9, Math.max(timeline.to, timeline.from + 1) / 1e9] } },
  };
}

/** Turns a finished drag into a window. */
function selected(u: uPlot, setup: Setup): void {
  const { left, width } = u.select;
  if (width < 5) return;
  const [from, to] = [left, left + width].map((px) => Math.round(u.posToVal(px, "x") * 1e9));
  u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  if (from !== undefined && to !== undefined && to > from) setup.onWindow(Math.max(0, from), to);
}

function grouped(points: Point[], hidden: Set<string>): Map<string, Point[]> {
  const groups = new Map<string, Point[]>();
  for (const p of points) {
    const name = classOf(p);
    if (hidden.has(name)) continue;
    const group = groups.get(name);
    if (group) group.push(p);
    else groups.set(name, [p]);
  }
  // Rare outcomes are drawn last, on top.
  const rank = (name: string) => ["ok", "info", "fail"].findIndex((o) => name.endsWith(` ${o}`));
  return new Map([...groups].sort((a, b) => rank(a[0]) - rank(b[0])));
}

/** Height above the plot for the lanes of faults and the leader marks. */
function headroom(timeline: Timeline): number {
  const used = timeline.bands.length === 0 ? 0 : Math.min(LANES_MAX, Math.max(...lanes(timeline.bands)) + 1);
  return 6 + LEADER_ROW + used * LANE;
}

export function latencyChart(element: HTMLElement, setup: Setup, width: number, height: number): uPlot {
  const { timeline, colours } = setup;
  const groups = grouped(timeline.points, setup.hidden);
  const visible = [...groups.values()].flat().sort((a, b) => a.t - b.t);
  const seconds = visible.map((p) => p.t / 1e9);
  const rings = visible.filter((p) => setup.violations.has(p.i) || setup.open.has(p.i));
  const base = shared(setup, width);
  const options: uPlot.Options = {
    ...base,
    height,
    padding: [headroom(timeline), RIGHT, 0, 0],
    scales: { ...base.scales, y: { distr: 3, log: 10, range: () => latencyRange(timeline.points) } },
    axes: [
      timeAxis(setup, false),
      axis(colours, {
        scale: "y",
        size: AXIS_WIDTH,
        splits: () => powers(...latencyRange(timeline.points)),
        values: (_u, ticks) => ticks.map(power),
      }),
    ],
    series: [{}, { scale: "y", paths: () => null, points: { show: false } }],
    hooks: {
      drawClear: [(u) => drawBands(u, timeline, colours)],
      draw: [
        (u) => {
          drawLeaders(u, timeline, colours, true);
          for (const points of groups.values()) {
            const one = points[0];
            if (one) drawPoints(u, points, one.f, one.type, colours);
          }
          drawRings(u, rings, setup.open, colours);
          drawBandLabels(u, timeline, colours);
        },
      ],
      setSelect: [(u) => selected(u, setup)],
      setCursor: [(u) => setup.onHover(hover(u, visible, seconds))],
      ready: [(u) => onClick(u, () => nearest(u, visible, seconds), setup.onOp)],
    },
  };
  return new uPlot(options, [seconds, visible.map((p) => p.ms)], element);
}

/** The powers of ten from the first to the last. */
function powers(from: number, to: number): number[] {
  const first = Math.round(Math.log10(from));
  return Array.from({ length: Math.round(Math.log10(to)) - first + 1 }, (_, i) => 10 ** (first + i));
}

function power(ms: number): string {
  return millis(Number(ms.toPrecision(1))).replace(/\.0+(?= )/, "");
}

/** A press that is not a drag opens the operation under it. */
function onClick(u: uPlot, find: () => Point | null, open: (index: number) => void): void {
  let from = 0;
  u.over.addEventListener("mousedown", (e) => (from = e.clientX));
  u.over.addEventListener("click", (e) => {
    const point = Math.abs(e.clientX - from) < 4 ? find() : null;
    if (point) open(point.i);
  });
}

function hover(u: uPlot, points: Point[], seconds: number[]): Hover | null {
  const { left, top } = u.cursor;
  if (left === undefined || top === undefined || left < 0) return null;
  const t = u.posToVal(left, "x") * 1e9;
  const pixel = (u.posToVal(left + 1, "x") - u.posToVal(left, "x")) * 1e9;
  const { left: x, top: y } = u.bbox;
  return {
    t,
    point: top < 0 ? null : nearest(u, points, seconds),
    left: left + x / devicePixelRatio,
    top: top + y / devicePixelRatio + u.root.offsetTop,
    pixel,
  };
}

/** The drawn point next to the pointer, within a few pixels. */
function nearest(u: uPlot, points: Point[], seconds: number[]): Point | null {
  const { left = -1, top = -1 } = u.cursor;
  if (left < 0 || top < 0) return null;
  const from = lowerBound(seconds, u.posToVal(left - NEAR, "x"));
  const to = lowerBound(seconds, u.posToVal(left + NEAR, "x"));
  const ratio = devicePixelRatio;
  let best: Point | null = null;
  let distance = NEAR * NEAR;
  for (let i = from; i < to; i++) {
    const p = points[i];
    if (!p) continue;
    const [x, y] = pointAt(u, p);
    const dx = (x - u.bbox.left) / ratio - left;
    const dy = (y - u.bbox.top) / ratio - top;
    // Rare outcomes are easier to hit than the crowd of ok.
    const d = (dx * dx + dy * dy) * (p.type === "ok" ? 1 : 0.4);
    if (d < distance) [best, distance] = [p, d];
  }
  return best;
}

export function rateChart(element: HTMLElement, setup: Setup, width: number, height: number): uPlot {
  const { timeline, colours } = setup;
  const step = timeline.rate_step / 1e9;
  const xs = timeline.rate.map((r) => r.t / 1e9);
  const last = timeline.rate.at(-1);
  // A step lasts until the next one begins; the last needs an end of its own.
  if (last) xs.push(last.t / 1e9 + step);
  const column = (kind: "ok" | "info" | "fail") => {
    const values = timeline.rate.map((r) => r[kind] / step);
    return last ? [...values, last[kind] / step] : values;
  };
  const line = (label: string, colour: string, more: Partial<uPlot.Series> = {}): uPlot.Series => ({
    label,
    stroke: colour,
    width: 1.25,
    paths: stepped,
    points: { show: false },
    ...more,
  });
  const base = shared(setup, width);
  const faint = colours.ok.replace(/^rgb\((.*)\)$/, "rgba($1, 0.14)");
  const options: uPlot.Options = {
    ...base,
    height,
    padding: [6, RIGHT, 0, 0],
    scales: { ...base.scales, y: { range: (_u, _min, max) => [0, Math.max(1, (max ?? 0) * 1.08)] } },
    axes: [
      timeAxis(setup, true),
      axis(colours, {
        scale: "y",
        size: AXIS_WIDTH,
        space: 28,
        values: (_u, ticks) => ticks.map((v) => (v === 0 ? "0" : `${v} /s`)),
      }),
    ],
    series: [
      {},
      line("ok", colours.ok, { fill: faint }),
      line("info", colours.info, { dash: [5, 3] }),
      line("fail", colours.fail),
    ],
    hooks: {
      drawClear: [(u) => drawBands(u, timeline, colours)],
      draw: [
        (u) => {
          drawLeaders(u, timeline, colours, false);
          drawPhases(u, timeline, colours);
        },
      ],
      setSelect: [(u) => selected(u, setup)],
    },
  };
  return new uPlot(options, [xs, column("ok"), column("info"), column("fail")], element);
}

/** Acknowledged and not yet read, over time: falls to zero in the final reads of a run that kept everything. */
export function unseenChart(element: HTMLElement, setup: Setup, width: number, height: number): uPlot {
  const { timeline, colours, unseen } = setup;
  const base = shared(setup, width);
  const highest = unseen.reduce((max, p) => Math.max(max, p.unseen), 1);
  const options: uPlot.Options = {
    ...base,
    height,
    padding: [6, RIGHT, 0, 0],
    scales: { ...base.scales, y: { range: () => [0, highest * 1.08] } },
    axes: [
      timeAxis(setup, false),
      axis(colours, { scale: "y", size: AXIS_WIDTH, space: 26, values: (_u, ticks) => ticks.map((v) => String(v)) }),
    ],
    series: [{}, { label: "unseen", stroke: colours["ink-2"], width: 1.25, paths: stepped, points: { show: false } }],
    hooks: {
      drawClear: [(u) => drawBands(u, timeline, colours)],
      draw: [(u) => drawLeaders(u, timeline, colours, false)],
      setSelect: [(u) => selected(u, setup)],
    },
  };
  return new uPlot(options, [unseen.map((p) => p.time / 1e9), unseen.map((p) => p.unseen)], element);
}

/** The pictures in one sentence, for those who cannot see them. */
export function describe(timeline: Timeline): string {
  const slow = timeline.points.reduce((max, p) => Math.max(max, p.ms ?? 0), 0);
  const fails = timeline.rate.reduce((n, r) => n + r.fail, 0);
  const infos = timeline.rate.reduce((n, r) => n + r.info, 0);
  return `Latency of ${timeline.operations} operations from ${clock(timeline.from)} to ${clock(timeline.to)}: the slowest took ${millis(slow)}; ${fails} failed, ${infos} ended unknown; ${timeline.bands.length} faults and ${timeline.leaders.length} leader changes in the run.`;
}
