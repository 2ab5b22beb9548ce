// All runs, newest first.

import { useEffect, useState } from "preact/hooks";
import { listRuns, runPath } from "../api/client";
import type { RunList, RunSummary } from "../api/types";
import { Link, Loading, Problem, Prose, VerdictBadge, When } from "../components/basics";
import { Frame } from "../components/frame";
import { integer, plural } from "../lib/format";
import { headlineParts } from "../lib/report";
import { go } from "../lib/state";
import { useFetch } from "../lib/use-fetch";

const PAGE = 50;
const FILTERS = ["invalid", "unknown", "valid", "none"] as const;

/** What is asked of the list; part of the address, so that a search can be linked. */
function readQuery() {
  const params = new URLSearchParams(location.search);
  return {
    q: params.get("q") ?? "",
    verdict: params.get("verdict") ?? "",
    page: Math.max(0, Number(params.get("page") ?? 0) || 0),
  };
}

export function ListPage() {
  const [query, setQuery] = useState(readQuery);
  const { q, verdict, page } = query;
  const change = (next: Partial<typeof query>) => setQuery({ ...query, page: 0, ...next });
  useEffect(() => {
    document.title = "Runs · Perjury";
    const given = Object.entries({ q, verdict, page: page === 0 ? "" : String(page) }).filter(([, v]) => v !== "");
    const text = new URLSearchParams(given).toString();
    history.replaceState(null, "", `/${text === "" ? "" : `?${text}`}`);
  }, [q, verdict, page]);
  const params = { q, verdict, limit: PAGE, offset: page * PAGE };
  const { data, error, loading, reload } = useFetch(JSON.stringify(params), (s) => listRuns(params, s), 5000);
  const [last, setLast] = useState<RunList | null>(null);
  useEffect(() => {
    if (data) setLast(data);
  }, [data]);
  const shown = data ?? last;
  return (
    <Frame crumbs={<span aria-current="page">Runs</span>}>
      <div class="list-page">
        <h1 class="visually-hidden">Runs</h1>
        {error && <Problem error={error} retry={reload} />}
        {shown === null && loading && <Loading what="the list of runs" />}
        {shown !== null && shown.stored === 0 && <EmptyStore />}
        {shown !== null && shown.stored > 0 && (
          <>
            <Search list={shown} q={q} verdict={verdict} change={change} />
            <Runs list={shown} busy={loading && data === null} />
            <Pages total={shown.total} page={page} turn={(page) => setQuery({ ...query, page })} />
          </>
        )}
      </div>
    </Frame>
  );
}

function EmptyStore() {
  return (
    <div class="empty">
      <h2>No runs yet</h2>
      <p>A run forms a cluster, breaks it while clients write, and judges what was kept. To make the first one:</p>
      <pre>
        <code>perjury run --cluster testbed --workload queue --nemesis kill --time-limit 30s</code>
      </pre>
      <p>
        Give it the same <code>--store</code> as this server, and it appears here while it runs. To see a defect being
        found, add <code>--bug ack-before-replication</code>. A run directory that is copied into the store appears too.
      </p>
    </div>
  );
}

function Search({
  list,
  q,
  verdict,
  change,
}: {
  list: RunList;
  q: string;
  verdict: string;
  change: (next: { q?: string; verdict?: string }) => void;
}) {
  const chosen = new Set(verdict.split(",").filter((v) => v !== ""));
  const toggle = (v: string) => {
    if (!chosen.delete(v)) chosen.add(v);
    change({ verdict: [...chosen].join(",") });
  };
  return (
    <form class="list-tools" role="search" onSubmit={(e) => e.preventDefault()}>
      <input
        type="search"
        value={q}
        placeholder="Search name, anomaly, bug, nemesis, seed …"
        aria-label="Search runs"
        onInput={(e) => change({ q: e.currentTarget.value })}
      />
      <div class="chips" role="group" aria-label="Show only these verdicts">
        {FILTERS.map((v) => (
          <button type="button" key={v} class="chip" aria-pressed={chosen.has(v)} onClick={() => toggle(v)}>
            <VerdictBadge verdict={v === "none" ? null : v} />
            <span class="chip-count">{integer(list.verdicts[v])}</span>
          </button>
        ))}
      </div>
    </form>
  );
}

function Runs({ list, busy }: { list: RunList; busy: boolean }) {
  if (list.runs.length === 0) {
    return (
      <div class="empty">
        <h2>No run matches</h2>
        <p>
          {plural(list.stored, "run")} are in the store. Take words out of the search, or switch the verdict filters
          off.
        </p>
      </div>
    );
  }
  return (
    <table class={busy ? "runs busy" : "runs"}>
      <thead>
        <tr>
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
          <Row key={run.id} run={run} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ run }: { run: RunSummary }) {
  const href = `/runs/${runPath(run.id)}`;
  const [lead, ...more] = headlineParts(run.headline ?? "");
  const line =
    lead ?? run.problem ?? (run.status === "unchecked" ? "Not checked yet: run `perjury check` on its directory." : "");
  // The whole row is a target for the pointer; the link inside is the one for keyboard and screen readers.
  const follow = (e: MouseEvent) => {
    if (!(e.target as Element).closest("a") && getSelection()?.toString() === "") go(href);
  };
  return (
    <tr class="run" onClick={follow}>
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

function Pages({ total, page, turn }: { total: number; page: number; turn: (page: number) => void }) {
  if (total <= PAGE && page === 0) return null;
  const end = Math.min(total, (page + 1) * PAGE);
  return (
    <nav class="pages" aria-label="Pages">
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
