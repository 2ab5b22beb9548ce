// How often runs of one name end in a violation: the runs in order, the share with its interval, versions apart.

import { runPath, service } from "../api/client";
import type { Estimate, Trend } from "../api/types";
import { integer, plural } from "../lib/format";
import { useFetch } from "../lib/use-fetch";
import { Link, Problem, Shape, When } from "./basics";

const share = (x: number) => `${(100 * x).toFixed(x > 0 && x < 0.1 ? 1 : 0)} %`;

/** "3 of 12 runs violate: 25 %, with 95 % confidence between 9 % and 53 %". */
export function estimateText(e: Estimate): string {
  if (e.judged === 0) return "No run has been judged yet.";
  const at = `${integer(e.violations)} of ${plural(e.judged, "judged run")} ${e.violations === 1 ? "violates" : "violate"} a promise: ${share(e.violations / e.judged)}`;
  return e.interval === null
    ? at
    : `${at}, with 95 % confidence between ${share(e.interval[0])} and ${share(e.interval[1])}`;
}

/** The share of violations on a scale from 0 to 1, with its interval. */
export function Interval({ of, width = 160 }: { of: Estimate; width?: number }) {
  if (of.judged === 0) return <span class="quiet">not judged yet</span>;
  const at = (x: number) => 6 + x * (width - 12);
  const p = of.violations / of.judged;
  const [low, high] = of.interval ?? [p, p];
  return (
    <svg
      class="interval"
      width={width}
      height="18"
      viewBox={`0 0 ${width} 18`}
      role="img"
      aria-label={estimateText(of)}
    >
      <title>{estimateText(of)}</title>
      <path class="interval-scale" d={`M${at(0)} 13H${at(1)}M${at(0)} 10v6M${at(1)} 10v6M${at(0.5)} 11v4`} />
      <path class="interval-bar" d={`M${at(low)} 7H${at(high)}M${at(low)} 3v8M${at(high)} 3v8`} />
      <circle class="interval-point" cx={at(p)} cy="7" r="3.5" />
    </svg>
  );
}

function Mark({ point: p }: { point: Trend["points"][number] }) {
  const told = `${p.id}: ${p.verdict ?? "no verdict"}${p.gone === true ? ", deleted" : ""}`;
  const look = { class: `mark verdict-${p.verdict ?? "none"}${p.gone === true ? " gone" : ""}`, title: told };
  const shape = <Shape kind={p.verdict ?? "none"} size={13} />;
  if (p.gone === true)
    return (
      <span {...look} role="img" aria-label={told}>
        {shape}
      </span>
    );
  return (
    <Link href={`/runs/${runPath(p.id)}`} {...look} aria-label={told}>
      {shape}
    </Link>
  );
}

/** The last runs as marks, oldest first: verdicts differ by shape and height, not by colour alone. */
export function Marks({ trend, max = 40 }: { trend: Trend; max?: number }) {
  const last = trend.points.slice(-max);
  return (
    <span
      class="marks"
      role="list"
      aria-label={`The last ${plural(last.length, "run")} of ${trend.name}, oldest first`}
    >
      {last.map((p) => (
        <span role="listitem" key={p.id}>
          <Mark point={p} />
        </span>
      ))}
    </span>
  );
}

/** A line of a table: marks and interval, fetched when it is shown. */
export function TrendLine({ name }: { name: string }) {
  const { data, error } = useFetch(name, (s) => service.trend(name, s));
  if (error) return <span class="quiet">{error.message}</span>;
  if (!data) return null;
  return (
    <span class="trend-line">
      <Marks trend={data} max={16} />
      <Interval of={data} width={120} />
    </span>
  );
}

function startedAt(point: Trend["points"][number]): string | null {
  if (point.started !== undefined) return point.started;
  return point.started_ms === undefined ? null : new Date(point.started_ms).toISOString();
}

/** The whole of it, above the list of the runs of one name. */
export function TrendPanel({ name }: { name: string }) {
  const { data, error } = useFetch(name, (s) => service.trend(name, s), 15_000);
  if (error) return <Problem error={error} />;
  if (!data) return null;
  const latest = data.points.at(-1);
  const gone = data.points.filter((p) => p.gone === true).length;
  return (
    <section class="trend-panel" aria-label={`Trend of ${name}`}>
      <h2>{name}</h2>
      <p>
        {estimateText(data)}.{" "}
        {data.flakes > 0 && (
          <>
            {plural(data.flakes, "run")} said nothing (unknown or interrupted) and {data.flakes === 1 ? "is" : "are"}{" "}
            counted apart.{" "}
          </>
        )}
        {gone > 0 &&
          `${plural(gone, "run")} ${gone === 1 ? "was" : "were"} deleted and still ${gone === 1 ? "counts" : "count"}. `}
        {latest && (
          <>
            Latest <When at={startedAt(latest)} />.
          </>
        )}
      </p>
      <div class="trend-line">
        <Interval of={data} width={260} />
        <Marks trend={data} max={80} />
      </div>
      {data.by_version.length > 0 && <Versions versions={data.by_version} />}
    </section>
  );
}

function Versions({ versions }: { versions: Trend["by_version"] }) {
  return (
    <div class="scroll">
      <table class="versions">
        <caption>By version of the cluster</caption>
        <thead>
          <tr>
            <th scope="col">Version</th>
            <th scope="col" class="number">
              Violations
            </th>
            <th scope="col" class="number">
              Judged
            </th>
            <th scope="col">Share, 0 to 1, with its interval</th>
          </tr>
        </thead>
        <tbody>
          {versions.map((v) => (
            <tr key={v.version}>
              <th scope="row" class="mono">
                {v.version ?? "not told"}
              </th>
              <td class="number">{integer(v.violations)}</td>
              <td class="number">{integer(v.judged)}</td>
              <td>
                <Interval of={v} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
