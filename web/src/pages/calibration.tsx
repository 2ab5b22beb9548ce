// How many known bugs the runs find, and how often they accuse a correct cluster.

import { useEffect, useState } from "preact/hooks";
import { service } from "../api/client";
import type { Calibration, CalibrationCell, Recall } from "../api/types";
import { Link, Loading, Problem, When } from "../components/basics";
import { Frame } from "../components/frame";
import { Interval } from "../components/trend";
import { integer, plural } from "../lib/format";
import { useFetch } from "../lib/use-fetch";

export function CalibrationPage() {
  const all = useFetch("calibrations", (s) => service.calibrations(s));
  const [chosen, choose] = useState<string | null>(null);
  const id = chosen ?? all.data?.items[0]?.id ?? null;
  const one = useFetch(id, (s) => service.calibration(id ?? "", s));
  useEffect(() => {
    document.title = "Calibration · Perjury";
  }, []);
  const error = all.error ?? one.error;
  return (
    <Frame>
      <div class="list-page calibration">
        <h1 class="page-title">Calibration</h1>
        <p class="page-lead">
          Clusters with a known bug switched on, and correct ones: how many runs find the bug, and how many accuse a
          cluster that is right. The shares have their intervals at 95 %.
        </p>
        {error && <Problem error={error} retry={all.reload} />}
        {all.data === null && all.loading && <Loading what="the calibrations" />}
        {all.data !== null && all.data.items.length === 0 && <None />}
        {all.data !== null && all.data.items.length > 1 && (
          <div class="list-tools">
            <label>
              Made{" "}
              <select value={id ?? ""} onChange={(e) => choose(e.currentTarget.value)}>
                {all.data.items.map((c) => (
                  <option key={c.id} value={c.id}>
                    {c.id}
                    {c.complete ? "" : " (not complete)"}
                  </option>
                ))}
              </select>
            </label>
          </div>
        )}
        {one.data && <Result of={one.data} />}
      </div>
    </Frame>
  );
}

function None() {
  return (
    <div class="empty">
      <h2>No calibration yet</h2>
      <p>It takes about ten minutes, and states beside each verdict what a run of its plan would have found:</p>
      <pre>
        <code>perjury calibrate --quick --store STORE</code>
      </pre>
    </div>
  );
}

function Result({ of: c }: { of: Calibration }) {
  return (
    <>
      <p data-testid="calibration">
        <strong>{c.statement}.</strong> {plural(c.runs, "run")}, <When at={c.made} />, perjury {c.perjury}
        {c.complete ? "" : "; not complete: perjury calibrate --resume goes on"}.
      </p>
      <h2>Bugs</h2>
      <Bugs of={c} />
      <Confusion of={c} />
      <h2>Correct clusters</h2>
      <Clean of={c} />
    </>
  );
}

function Share({ recall }: { recall: Recall }) {
  return (
    <>
      {integer(recall.found)} of {integer(recall.runs)}{" "}
      <Interval of={{ violations: recall.found, judged: recall.runs, interval: recall.interval }} width={110} />
    </>
  );
}

function Bugs({ of: c }: { of: Calibration }) {
  const why = new Map(c.bugs.map((b) => [b.bug, `${b.summary}. Imitates: ${b.imitates}`]));
  return (
    <div class="scroll">
      <table class="groups">
        <thead>
          <tr>
            <th scope="col">Bug</th>
            <th scope="col">Workload</th>
            <th scope="col">Fault</th>
            <th scope="col">Found, with interval</th>
            <th scope="col">Median time</th>
            <th scope="col">Median operations</th>
            <th scope="col">Missed with seeds</th>
          </tr>
        </thead>
        <tbody>
          {c.cells.map((cell) => (
            <tr key={`${cell.bug} ${cell.workload} ${cell.fault}`}>
              <th scope="row" class="mono" title={why.get(cell.bug)}>
                {cell.bug}
              </th>
              <td>{cell.workload}</td>
              <td>{cell.at_rest ? "none needed" : `${cell.fault} ${cell.target}`}</td>
              <td class="nowrap">
                <Share recall={cell.recall} />
              </td>
              <td>{cell.median_ms === null ? "–" : `${(cell.median_ms / 1000).toFixed(1)} s`}</td>
              <td>{cell.median_operations === null ? "–" : integer(cell.median_operations)}</td>
              <td>{cell.missed.length === 0 ? "–" : cell.missed.join(", ")}</td>
            </tr>
          ))}
          {c.not_run.map((left) => (
            <tr key={left.bug}>
              <th scope="row" class="mono">
                {left.bug}
              </th>
              <td colSpan={6} class="quiet">
                not tried: {left.why}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Which bug appears under which name, by number of runs; what was expected of it stands out. */
function Confusion({ of: c }: { of: Calibration }) {
  const names = [...new Set(c.cells.flatMap((cell) => Object.keys(cell.anomalies)))].sort();
  if (names.length === 0) return null;
  const runs = (cells: CalibrationCell[], name: string) =>
    cells.reduce((n, cell) => n + (cell.anomalies[name] ?? 0), 0);
  return (
    <>
      <h2>Under which names</h2>
      <p class="quiet">In how many runs each violation was found. A star: expected of that bug.</p>
      <div class="scroll">
        <table class="groups confusion">
          <thead>
            <tr>
              <th scope="col">Bug</th>
              {names.map((name) => (
                <th key={name} scope="col">
                  <Link class="mono" href={`/glossary#anomaly=${encodeURIComponent(name)}`}>
                    {name}
                  </Link>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {c.bugs.map((b) => {
              const cells = c.cells.filter((cell) => cell.bug === b.bug);
              return (
                <tr key={b.bug}>
                  <th scope="row" class="mono">
                    {b.bug}
                  </th>
                  {names.map((name) => {
                    const n = runs(cells, name);
                    return <td key={name}>{n === 0 ? "" : `${integer(n)}${b.expected.includes(name) ? " *" : ""}`}</td>;
                  })}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Clean({ of: c }: { of: Calibration }) {
  return (
    <>
      <div class="scroll">
        <table class="groups">
          <thead>
            <tr>
              <th scope="col">Workload</th>
              <th scope="col">Fault</th>
              <th scope="col">Accused, with interval</th>
              <th scope="col">Not judged</th>
            </tr>
          </thead>
          <tbody>
            {c.clean.map((cell) => (
              <tr key={`${cell.workload} ${cell.fault} ${cell.target}`}>
                <th scope="row">{cell.workload}</th>
                <td>
                  {cell.fault} {cell.target}
                </td>
                <td class="nowrap">
                  <Share recall={cell.accused} />
                </td>
                <td>{integer(cell.unknown)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {c.false_positives.length > 0 && (
        <ul>
          {c.false_positives.map((wrong) => (
            <li key={wrong.key}>
              <span class="mono">{wrong.key}</span>: {wrong.anomalies.join(", ")}
              {wrong.run === null ? "" : `, kept as ${wrong.run}`}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
