// What both charts draw beside their series: fault bands, leader changes, phases, and the points themselves.

import type uPlot from "uplot";
import type { Point, Timeline } from "../../api/types";
import { bandLabels, clusters, lanes } from "./layout";
import type { Palette } from "./palette";

/** Height of a lane of fault labels above the plot, in CSS pixels; and of the row of leader marks under them. */
export const LANE = 16;
export const LEADER_ROW = 14;
export const LANES_MAX = 3;

const FONT = `11px "IBM Plex Sans", sans-serif`;

interface Area {
  ctx: CanvasRenderingContext2D;
  ratio: number;
  left: number;
  right: number;
  top: number;
  bottom: number;
  x: (t: number) => number;
}

/** The plot in canvas pixels. */
function area(u: uPlot): Area {
  const { left, top, width, height } = u.bbox;
  const x = (t: number) => Math.min(left + width, Math.max(left, u.valToPos(t / 1e9, "x", true)));
  return { ctx: u.ctx, ratio: devicePixelRatio, left, right: left + width, top, bottom: top + height, x };
}

function visible(u: uPlot, start: number, end: number): boolean {
  const { min, max } = u.scales["x"] ?? {};
  return typeof min === "number" && typeof max === "number" && end / 1e9 >= min && start / 1e9 <= max;
}

/** Fault bands behind everything; one that no witness confirmed is only outlined. */
export function drawBands(u: uPlot, timeline: Timeline, colours: Palette): void {
  const { ctx, ratio, top, bottom, x } = area(u);
  ctx.save();
  for (const band of timeline.bands) {
    if (!visible(u, band.start, band.end)) continue;
    const [from, to] = [x(band.start), x(band.end)];
    const width = Math.max(ratio, to - from);
    if (band.witnessed !== false) {
      ctx.fillStyle = colours.band;
      ctx.fillRect(from, top, width, bottom - top);
    } else {
      ctx.setLineDash([4 * ratio, 3 * ratio]);
    }
    ctx.strokeStyle = colours["band-edge"];
    ctx.lineWidth = ratio;
    ctx.strokeRect(from, top, width, bottom - top);
    ctx.setLineDash([]);
  }
  ctx.restore();
}

/** The names of the faults in lanes above the plot. */
export function drawBandLabels(u: uPlot, timeline: Timeline, colours: Palette): void {
  const { ctx, ratio, top, right, x } = area(u);
  const shown = timeline.bands.filter((b) => visible(u, b.start, b.end));
  const placed = lanes(shown);
  ctx.save();
  ctx.font = FONT.replace("11px", `${11 * ratio}px`);
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  shown.forEach((band, i) => {
    const lane = placed[i] ?? 0;
    if (lane >= LANES_MAX) return;
    const from = x(band.start);
    const next = shown.findIndex((_, j) => j > i && placed[j] === lane);
    const limit = next === -1 ? right : x(shown[next]?.start ?? 0) - 4 * ratio;
    const y = top - (LEADER_ROW + (lane + 1) * LANE) * ratio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(from, y, Math.max(0, limit - from), LANE * ratio);
    ctx.clip();
    ctx.fillStyle = colours["band-edge"];
    ctx.fillRect(from, y + 2 * ratio, Math.max(2 * ratio, x(band.end) - from), 2 * ratio);
    ctx.fillStyle = colours["ink-2"];
    const room = limit - from;
    const label = bandLabels(band).find((text) => ctx.measureText(text).width <= room);
    if (label !== undefined) ctx.fillText(label, from, y + 10 * ratio);
    ctx.restore();
  });
  ctx.restore();
}

/** Leader changes: a triangle above the plot and a thin line through it; how many, where they stand too close. */
export function drawLeaders(u: uPlot, timeline: Timeline, colours: Palette, marks: boolean): void {
  const { ctx, ratio, top, bottom, x } = area(u);
  const shown = timeline.leaders.filter((l) => visible(u, l.t, l.t));
  const at = shown.map((l) => x(l.t));
  ctx.save();
  ctx.strokeStyle = colours.leader;
  ctx.fillStyle = colours.leader;
  ctx.lineWidth = ratio;
  ctx.font = FONT.replace("11px", `${10 * ratio}px`);
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  for (const [first, last] of clusters(at, 5 * ratio)) {
    const px = at[first] ?? 0;
    ctx.setLineDash([2 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(px, top);
    ctx.lineTo(px, bottom);
    ctx.stroke();
    ctx.setLineDash([]);
    if (!marks) continue;
    const y = top - 3 * ratio;
    ctx.beginPath();
    ctx.moveTo(px, y);
    ctx.lineTo(px - 4 * ratio, y - 7 * ratio);
    ctx.lineTo(px + 4 * ratio, y - 7 * ratio);
    ctx.fill();
    if (last > first) ctx.fillText(`×${last - first + 1}`, px + 6 * ratio, y - 4 * ratio);
  }
  ctx.restore();
}

/** The beginnings of phases, named at the foot of the plot. */
export function drawPhases(u: uPlot, timeline: Timeline, colours: Palette): void {
  const { ctx, ratio, bottom, x, right } = area(u);
  ctx.save();
  ctx.strokeStyle = colours["ink-3"];
  ctx.fillStyle = colours["ink-3"];
  ctx.lineWidth = ratio;
  ctx.font = FONT.replace("11px", `${10 * ratio}px`);
  ctx.textBaseline = "alphabetic";
  ctx.textAlign = "left";
  const phases = timeline.marks.filter((m) => m.kind === "phase" && visible(u, m.t, m.t));
  phases.forEach((mark, i) => {
    const px = Math.round(x(mark.t)) + 0.5;
    ctx.beginPath();
    ctx.moveTo(px, bottom);
    ctx.lineTo(px, bottom - 14 * ratio);
    ctx.stroke();
    // A name that would run into the next mark is left out.
    const next = phases[i + 1];
    const room = (next ? x(next.t) : right) - px;
    if (ctx.measureText(mark.label).width + 6 * ratio < room)
      ctx.fillText(mark.label, px + 4 * ratio, bottom - 5 * ratio);
  });
  ctx.restore();
}

/** The outline of one point: circle for sends, triangle for polls, diamond for transactions, square for the rest. */
function outline(ctx: CanvasRenderingContext2D, f: string, x: number, y: number, r: number): void {
  if (f === "send") {
    ctx.moveTo(x + r, y);
    ctx.arc(x, y, r, 0, 2 * Math.PI);
  } else if (f === "poll") {
    ctx.moveTo(x, y - 1.15 * r);
    ctx.lineTo(x + 1.1 * r, y + 0.85 * r);
    ctx.lineTo(x - 1.1 * r, y + 0.85 * r);
    ctx.closePath();
  } else if (f === "txn") {
    ctx.moveTo(x, y - 1.3 * r);
    ctx.lineTo(x + 1.3 * r, y);
    ctx.lineTo(x, y + 1.3 * r);
    ctx.lineTo(x - 1.3 * r, y);
    ctx.closePath();
  } else {
    ctx.rect(x - r, y - r, 2 * r, 2 * r);
  }
}

function cross(ctx: CanvasRenderingContext2D, x: number, y: number, r: number): void {
  ctx.moveTo(x - r, y - r);
  ctx.lineTo(x + r, y + r);
  ctx.moveTo(x + r, y - r);
  ctx.lineTo(x - r, y + r);
}

/** Where a point stands, in canvas pixels; what never completed stands at the top edge. */
export function pointAt(u: uPlot, p: Point): [number, number] {
  const x = u.valToPos(p.t / 1e9, "x", true);
  if (p.ms === null) return [x, u.bbox.top + 7 * devicePixelRatio];
  const floor = u.scales["y"]?.min ?? 0.01;
  return [x, u.valToPos(Math.max(p.ms, floor), "y", true)];
}

/**
 * All points of one function and outcome in one stroke: ok filled and faint, info hollow, fail with a cross, so that the
 * outcome reads without colour.
 */
export function drawPoints(u: uPlot, points: Point[], f: string, type: string, colours: Palette): void {
  const { ctx, ratio } = area(u);
  const { left, top, width, height } = u.bbox;
  const radius = (type === "ok" ? 1.7 : 3.2) * ratio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  ctx.beginPath();
  for (const p of points) {
    const [x, y] = pointAt(u, p);
    if (x < left - radius || x > left + width + radius) continue;
    if (type === "fail") cross(ctx, x, y, radius * 0.85);
    else outline(ctx, f, x, y, radius);
  }
  const colour = type === "ok" ? colours.ok : type === "fail" ? colours.fail : colours.info;
  if (type === "ok") {
    ctx.fillStyle = colour;
    ctx.globalAlpha = points.length > 1500 ? 0.5 : 0.75;
    ctx.fill();
  } else {
    ctx.strokeStyle = colour;
    ctx.lineWidth = 1.5 * ratio;
    ctx.stroke();
  }
  ctx.restore();
}

/** A diamond round every operation that takes part in a violation, a ring round those that are open now. */
export function drawRings(u: uPlot, points: Point[], open: Set<number>, colours: Palette): void {
  const { ctx, ratio } = area(u);
  ctx.save();
  for (const p of points) {
    const [x, y] = pointAt(u, p);
    if (x < u.bbox.left - 1 || x > u.bbox.left + u.bbox.width + 1) continue;
    const isOpen = open.has(p.i);
    ctx.strokeStyle = isOpen ? colours.ink : colours.invalid;
    ctx.lineWidth = (isOpen ? 2 : 1.5) * ratio;
    ctx.beginPath();
    if (isOpen) ctx.arc(x, y, 8 * ratio, 0, 2 * Math.PI);
    else outline(ctx, "txn", x, y, 5 * ratio);
    ctx.stroke();
  }
  ctx.restore();
}
