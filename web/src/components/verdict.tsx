// The first screen: what was found, how sure that is, and what was covered.

import type { RunSummary } from "../api/types";
import { api } from "../api/client";
import { clock, integer, plural, wall } from "../lib/format";
import { firstMoment } from "../lib/operation";
import { currentCase, headlineParts, type Report } from "../lib/report";
import { useFetch } from "../lib/use-fetch";
import { Prose, Shape, When } from "./basics";
import { useRun } from "./run-context";

/** As many of a case's operations as the picture of it asks for. */
const OPS_MAX = 12;

const WORDS: Record<string, string> = {
  valid: "Valid",
  invalid: "Invalid",
  unknown: "Unknown",
  none: "No verdict",
  running: "Running",
};

export function VerdictLine() {
  const { detail, report } = useRun();
  const { summary } = detail;
  const kind = report?.verdict ?? (summary.status === "running" ? "running" : "none");
  const [lead, ...clauses] = headlineParts(report?.headline ?? "");
  return (
    <header class={`hero hero-${kind}`}>
      <h1 class="hero-line" data-testid="verdict">
        <span class={`hero-verdict verdict-${kind}`}>
          <Shape kind={kind} size={22} />
          {WORDS[kind]}
        </span>
        <span class="hero-lead">{lead ?? <Prose text={missing(summary)} />}</span>
      </h1>
      {clauses.length > 0 && <p class="hero-clauses">{clauses.join(" · ")}</p>}
      {report?.verdict === "invalid" && <FirstSeen report={report} />}
      <p class="hero-meta">
        <When at={summary.started} both />
        {summary.cluster !== null && <> · {summary.cluster}</>}
        {summary.bugs.map((bug) => (
          <span key={bug} class="tag tag-bug" title="A bug that was switched on in this cluster">
            {bug}
          </span>
        ))}
        {summary.workload !== null && <> · workload {summary.workload}</>}
        {summary.nemesis.length > 0 && <> · nemesis {summary.nemesis.join(", ")}</>}
        {summary.seed !== null && <> · seed {summary.seed}</>}
      </p>
      {summary.problem !== null && (
        <p class="hero-problem">
          <Prose text={summary.problem} />
        </p>
      )}
      {report && <Sure report={report} />}
    </header>
  );
}

/** When the first case begins, on the clock of the history and on that of logs. */
function FirstSeen({ report }: { report: Report }) {
  const { id, started } = useRun();
  const ops = currentCase(report, null)?.example.ops.slice(0, OPS_MAX).join() ?? "";
  const { data } = useFetch(ops === "" ? null : `${id} ${ops}`, (s) => api.operations(id, { index: ops }, s));
  const at = firstMoment(data?.operations ?? []);
  if (at === null) return null;
  const day = wall(started, at);
  return (
    <p class="hero-meta" data-testid="first-seen">
      First case: {clock(at)} after the start{day !== null && <> · {day.replace("Z", " UTC")}</>}
    </p>
  );
}

function missing(summary: RunSummary): string {
  if (summary.status === "running") return "The run is under way; this page follows it.";
  if (summary.status === "unchecked")
    return "The history was not checked yet: `perjury check --save` on its directory does it; the line to copy is at the end of this page.";
  if (summary.status === "interrupted") return "The run was interrupted before it was checked.";
  return "There is no report.";
}

/** Confidence, coverage, and, for an unknown verdict, what is missing. */
function Sure({ report }: { report: Report }) {
  return (
    <dl class="sure">
      {report.confidence !== "" && (
        <div>
          <dt>Confidence</dt>
          <dd>{report.confidence}</dd>
        </div>
      )}
      {report.recall !== "" && (
        <div>
          <dt>Recall</dt>
          <dd>{report.recall}</dd>
        </div>
      )}
      <div>
        <dt>Coverage</dt>
        <dd>{coverageLine(report)}</dd>
      </div>
      {report.reasons.length > 0 && (
        <div>
          <dt>Why unknown</dt>
          <dd>
            <ul class="reasons">
              {report.reasons.map((r) => (
                <li key={r.code}>
                  {r.message === "" ? null : <>{r.message} </>}
                  <code>{r.code}</code>
                </li>
              ))}
            </ul>
          </dd>
        </div>
      )}
      {report.notes.length > 0 && (
        <div>
          <dt>Notes</dt>
          <dd>
            {report.notes.map((note) => (
              <p key={note}>{note}</p>
            ))}
          </dd>
        </div>
      )}
    </dl>
  );
}

export function coverageLine({ coverage: c }: Report): string {
  const faults =
    c.asked.length === 0 && c.injected === 0
      ? "No faults were asked for"
      : `${integer(c.witnessed)} of ${plural(c.injected, "fault")} witnessed (${c.asked.join(", ")}), ${plural(c.leaderKills, "leader kill")}`;
  const during =
    c.injected === 0 ? "" : `; ${plural(c.okSends, "ok send")} and ${plural(c.okPolls, "ok poll")} during faults`;
  const final = {
    completed: "final reads completed",
    incomplete: "final reads did not complete",
    absent: "no final reads",
  }[c.finalRead];
  return `${faults}${during}; ${final ?? c.finalRead}.`;
}
