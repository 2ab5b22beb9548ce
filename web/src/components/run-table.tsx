// Runs as rows, and names as rows.

import { runPath } from "../api/client";
import type { RunGroup, RunList, RunSummary } from "../api/types";
import { integer, plural } from "../lib/format";
import { PAGE } from "../lib/list-query";
import { headlineParts } from "../lib/report";
import { go } from "../lib/state";
import { Link, Prose, VerdictBadge, When } from "./basics";
import { TrendLine } from "./trend";

function NoMatch({ stored }: { stored: number }) {
  return (
    <div class="empty">
      <h2>No run matches</h2>
      <p>
        {plural(stored, "run")} {stored === 1 ? "is" : "are"} in the store. Take words out of the search, or switch
        filters off.
      </p>
    </div>
  );
}

export function Runs({
  list,
  busy,
  pick,
  toggle,
}: {
  list: RunList;
  busy: boolean;
  pick: string[];
  toggle: (id: string) => void;
}) {
  if (list.runs.length === 0) return <NoMatch stored={list.stored} />;
  return (
    <table class={busy ? "runs busy" : "runs"}>
      <thead>
        <tr>
          <th scope="col">
            <span class="visually-hidden">Compare</span>
          </th>
          <th scope="col">Verdict</th>
          <th scope="col">Run</th>
          <th scope="col">Anomalies</th>
          <th scope="col">Cluster</th>
          <th scope="col">Nemesis</th>
          <th scope="col" class="number">
            Operations
          </th>
          <th scope="col">When</th>
        </tr>
      </thead>
      <tbody>
        {list.runs.map((run) => (
          <Row key={run.id} run={run} picked={pick.includes(run.id)} toggle={() => toggle(run.id)} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ run, picked, toggle }: { run: RunSummary; picked: boolean; toggle: () => void }) {
  const href = `/runs/${runPath(run.id)}`;
  const [lead, ...more] = headlineParts(run.headline ?? "");
  const line =
    lead ??
    run.problem ??
    (run.status === "unchecked" ? "Not checked yet: run `perjury check --save` on its directory." : "");
  // The whole row is a target for the pointer; the link inside is the one for keyboard and screen readers.
  const follow = (e: MouseEvent) => {
    if (!(e.target as Element).closest("a, input, label") && getSelection()?.toString() === "") go(href);
  };
  return (
    <tr class="run" onClick={follow}>
      <td class="run-pick">
        <input type="checkbox" checked={picked} onChange={toggle} aria-label={`Compare ${run.id}`} />
      </td>
      <td class="run-verdict">
        <VerdictBadge verdict={run.verdict} status={run.status} />
        {run.verdict !== null && run.status !== "complete" && <span class="status-note">{run.status}</span>}
      </td>
      <td class="run-what">
        <Link href={href} class="run-name">
          {run.name}
          <span class="run-time">{run.time}</span>
        </Link>
        <span class="run-line" title={more.join(" · ")}>
          <Prose text={line} />
        </span>
      </td>
      <td class="run-anomalies">
        {Object.entries(run.anomalies).map(([name, n]) => (
          <span key={name} class="tag">
            {name} <b>{integer(n)}</b>
          </span>
        ))}
      </td>
      <td class="run-cluster">
        {run.cluster ?? ""}
        {run.bugs.map((bug) => (
          <span key={bug} class="tag tag-bug" title="A bug that was switched on">
            {bug}
          </span>
        ))}
      </td>
      <td class="run-nemesis">{run.nemesis.join(", ")}</td>
      <td class="number">{run.operations === null ? "" : integer(run.operations)}</td>
      <td class="run-when">
        <When at={run.started} />
      </td>
    </tr>
  );
}

export function Groups({ list, choose }: { list: RunList; choose: (name: string) => void }) {
  const groups = list.groups ?? [];
  if (groups.length === 0) return <NoMatch stored={list.stored} />;
  return (
    <div class="scroll">
      <table class="groups">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col" class="number">
              Runs
            </th>
            <th scope="col" class="number">
              Invalid
            </th>
            <th scope="col" class="number">
              Valid
            </th>
            <th scope="col" class="number">
              Unknown
            </th>
            <th scope="col">Trend, oldest first, and the share of violations</th>
            <th scope="col">Latest</th>
          </tr>
        </thead>
        <tbody>
          {groups.map((g) => (
            <Group key={g.name} group={g} choose={choose} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Group({ group: g, choose }: { group: RunGroup; choose: (name: string) => void }) {
  const latest = g.latest === null || typeof g.latest === "string" ? null : g.latest;
  const id = typeof g.latest === "string" ? g.latest : g.latest?.id;
  return (
    <tr>
      <th scope="row">
        <button type="button" class="link" onClick={() => choose(g.name)}>
          {g.name}
        </button>
      </th>
      <td class="number">{integer(g.runs)}</td>
      <td class={g.invalid > 0 ? "number lost" : "number"}>{integer(g.invalid)}</td>
      <td class="number">{integer(g.valid)}</td>
      <td class="number">{integer(g.unknown)}</td>
      <td>
        <TrendLine name={g.name} />
      </td>
      <td class="nowrap">
        {id !== undefined && (
          <Link href={`/runs/${runPath(id)}`}>
            {latest ? <VerdictBadge verdict={latest.verdict} status={latest.status} /> : id.split("/")[1]}
          </Link>
        )}{" "}
        {latest && <When at={latest.started} />}
      </td>
    </tr>
  );
}

export function Pages({ total, page, turn }: { total: number; page: number; turn: (page: number) => void }) {
  if (total <= PAGE && page === 0) return null;
  const end = Math.min(total, (page + 1) * PAGE);
  return (
    <nav class="pages" aria-label="Pages of runs">
      <button type="button" class="button" disabled={page === 0} onClick={() => turn(page - 1)}>
        Newer
      </button>
      <span>
        {integer(Math.min(page * PAGE + 1, end))}–{integer(end)} of {plural(total, "run")}
      </span>
      <button type="button" class="button" disabled={end >= total} onClick={() => turn(page + 1)}>
        Older
      </button>
    </nav>
  );
}
