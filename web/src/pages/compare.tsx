// Two runs side by side: what was set differently, what came out, which anomalies.

import { useEffect } from "preact/hooks";
import { runPath, service } from "../api/client";
import type { Comparison, Json, RunSummary } from "../api/types";
import { JudgementBadge, Link, Loading, Problem, Section, VerdictBadge, When } from "../components/basics";
import { Frame } from "../components/frame";
import { difference, integer, millis } from "../lib/format";
import { headlineParts } from "../lib/report";
import { asked, go } from "../lib/state";
import { plain } from "../lib/json";
import { useFetch } from "../lib/use-fetch";

export function ComparePage() {
  const params = new URLSearchParams(asked.value);
  const [a, b] = [params.get("a") ?? "", params.get("b") ?? ""];
  const { data, error, loading, reload } = useFetch(a === "" || b === "" ? null : `${a} ${b}`, (s) =>
    service.compare(a, b, s),
  );
  useEffect(() => {
    document.title = "Comparison · Perjury";
  }, []);
  const crumbs = (
    <>
      <Link href="/">Runs</Link>
      <span aria-hidden="true"> / </span>
      <span aria-current="page">Comparison</span>
    </>
  );
  return (
    <Frame crumbs={crumbs}>
      {(a === "" || b === "") && (
        <div class="empty">
          <h1>Which two runs?</h1>
          <p>
            Choose two rows in the <Link href="/">list of runs</Link> and press Compare.
          </p>
        </div>
      )}
      {error && (
        <div class="empty">
          <Problem error={error} retry={reload} />
          <p>
            <Link href="/">To the list of runs</Link>
          </p>
        </div>
      )}
      {loading && <Loading what="the comparison" />}
      {data && <Both of={data} swap={() => go(`/compare?${new URLSearchParams({ a: b, b: a }).toString()}`)} />}
    </Frame>
  );
}

function Both({ of, swap }: { of: Comparison; swap: () => void }) {
  return (
    <div class="report compare">
      <header class="hero">
        <h1 class="visually-hidden">Comparison of two runs</h1>
        <div class="compare-heads">
          <Head side="A" run={of.a} />
          <Head side="B" run={of.b} />
        </div>
        <button type="button" class="button" onClick={swap}>
          Swap A and B
        </button>
      </header>
      <Section id="settings" title="Set differently">
        {of.settings.length === 0 ? (
          <p>Nothing: both runs had the same settings. What differs came from chance or from the time.</p>
        ) : (
          <Settings rows={of.settings} />
        )}
      </Section>
      <Section id="figures" title="In figures">
        <FigureRows rows={of.figures} />
      </Section>
      <Section id="anomalies" title="Anomalies">
        {of.anomalies.length === 0 ? <p>Neither run has any.</p> : <AnomalyRows of={of} />}
      </Section>
    </div>
  );
}

function Head({ side, run }: { side: string; run: RunSummary }) {
  const [lead] = headlineParts(run.headline ?? "");
  return (
    <article class="compare-head" aria-label={`Run ${side}`}>
      <p>
        <b class="side">{side}</b> <VerdictBadge verdict={run.verdict} status={run.status} />
      </p>
      <h2>
        <Link href={`/runs/${runPath(run.id)}`}>{run.name}</Link> <span class="run-time">{run.time}</span>
      </h2>
      {lead !== undefined && <p>{lead}</p>}
      <p class="quiet">
        <When at={run.started} />
        {run.cluster !== null && <> · {run.cluster}</>}
        {run.seed !== null && <> · seed {run.seed}</>}
      </p>
    </article>
  );
}

const told = (v: Json): string => (v === null ? "not set" : plain(v));

function Heads({ first }: { first: string }) {
  return (
    <>
      <th scope="col">{first}</th>
      <th scope="col" class="number">
        A
      </th>
      <th scope="col" class="number">
        B
      </th>
    </>
  );
}

function Settings({ rows }: { rows: Comparison["settings"] }) {
  return (
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Setting</th>
            <th scope="col">A</th>
            <th scope="col">B</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((r) => (
            <tr key={r.path}>
              <th scope="row" class="mono">
                {r.path}
              </th>
              <td class="mono">{told(r.a)}</td>
              <td class="mono">{told(r.b)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function amount(value: number | null, unit: string | null): string {
  if (value === null) return "–";
  if (unit === "ms") return millis(value);
  const text = Number.isInteger(value) ? integer(value) : value.toPrecision(4);
  return unit === null || unit === "" ? text : `${text} ${unit}`;
}

function FigureRows({ rows }: { rows: Comparison["figures"] }) {
  return (
    <div class="scroll">
      <table class="compare-figures">
        <thead>
          <tr>
            <Heads first="Figure" />
            <th scope="col" class="number">
              B against A
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((r) => (
            <tr key={r.name}>
              <th scope="row">{r.name}</th>
              <td class="number">{amount(r.a, r.unit)}</td>
              <td class="number">{amount(r.b, r.unit)}</td>
              <td class="number">{difference(r.a, r.b)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function AnomalyRows({ of }: { of: Comparison }) {
  const cell = (run: RunSummary, name: string, n: number) =>
    n === 0 ? "0" : <Link href={`/runs/${runPath(run.id)}#anomaly=${encodeURIComponent(name)}/0`}>{integer(n)}</Link>;
  return (
    <div class="scroll">
      <table class="compare-figures">
        <thead>
          <tr>
            <Heads first="Anomaly" />
            <th scope="col">Judgement</th>
          </tr>
        </thead>
        <tbody>
          {of.anomalies.map((r) => (
            <tr key={r.name}>
              <th scope="row" class="mono">
                <Link href={`/glossary#anomaly=${encodeURIComponent(r.name)}`}>{r.name}</Link>
              </th>
              <td class="number">{cell(of.a, r.name, r.a)}</td>
              <td class="number">{cell(of.b, r.name, r.b)}</td>
              <td>
                <JudgementBadge judgement={r.judgement} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
