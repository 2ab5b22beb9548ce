// The report of one run, in the order in which a reader asks.

import { useCallback, useEffect, useMemo, useRef } from "preact/hooks";
import { alone, api } from "../api/client";
import type { RunDetail } from "../api/types";
import { Anomalies } from "../components/anomalies";
import { Link, Loading, Problem, Section } from "../components/basics";
import { Context } from "../components/context";
import { Drawer } from "../components/drawer";
import { Figures, Keys } from "../components/figures";
import { Goals } from "../components/goals";
import { Frame } from "../components/frame";
import { Live } from "../components/live";
import { LogSection } from "../components/log-view";
import { Operations } from "../components/op-table";
import { PreparingNote } from "../components/preparing";
import { Proof } from "../components/proof";
import { RunContext, type RunInfo } from "../components/run-context";
import { Story } from "../components/story";
import { type Pointed, Strip } from "../components/strip";
import { HowSure } from "../components/sure";
import { TakeAway } from "../components/take-away";
import { VerdictLine } from "../components/verdict";
import { readReport, type Report, step } from "../lib/report";
import { open, place } from "../lib/state";
import { useFetch } from "../lib/use-fetch";

/** How often a run that is under way is looked at again, and its charts, which cost the server more, ms. */
const FOLLOW = 3000;
const REDRAW = 10_000;

export function ReportPage({ id }: { id: string }) {
  const detail = useFetch(id, (s) => api.detail(id, s));
  const running = detail.data?.summary.status === "running";
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(() => document.hidden || detail.reload(), FOLLOW);
    return () => clearInterval(timer);
  }, [running]);
  // A one-file report has what it needs of the history in itself.
  const hasHistory = alone || (detail.data?.files.some((f) => f.path === "history.jsonl") ?? false);
  const timeline = useFetch(hasHistory ? id : null, (s) => api.timeline(id, {}, s), running ? REDRAW : null);
  const ran = useRef(false);
  useEffect(() => {
    // The last events may have come after the last look.
    if (ran.current && !running) timeline.reload();
    ran.current = running;
  }, [running]);
  const report = useMemo(() => readReport(detail.data?.report ?? null), [detail.data]);
  const info: RunInfo | null = useMemo(
    () => detail.data && { id, detail: detail.data, report, started: startOf(detail.data), timeline: timeline.data },
    [id, detail.data, report, timeline.data],
  );
  const onKey = useKeys(report);
  const [name = id, time = ""] = id.split("/");
  useEffect(() => {
    document.title = `${report?.verdict ? `${report.verdict} · ` : ""}${name} · Perjury`;
  }, [name, report]);
  const crumbs = (
    <>
      {!alone && (
        <>
          <Link href="/">Runs</Link>
          <span aria-hidden="true"> / </span>
        </>
      )}
      <span aria-current="page" class="crumb-run">
        {name} <span class="quiet">{time}</span>
      </span>
    </>
  );
  return (
    <Frame crumbs={crumbs} onKey={onKey}>
      {detail.error && info === null && <Missing error={detail.error} retry={detail.reload} />}
      {info === null && detail.loading && <Loading what="the report" />}
      {info && (
        <RunContext.Provider value={info}>
          <div class="report">
            <VerdictLine />
            {running && (
              <Section id="live" title="Live">
                <Live id={id} ended={detail.reload} />
              </Section>
            )}
            {report && <Story report={report} />}
            {report && hasHistory && <Proof report={report} />}
            {report && hasHistory && report.keys.length > 0 && <LogSection report={report} />}
            {hasHistory && (
              <Section id="timeline" title="The whole run">
                {timeline.error && <Problem error={timeline.error} retry={timeline.reload} />}
                {timeline.loading && timeline.data === null && <Loading what="the history" />}
                <Strip pointed={pointed(report)} />
              </Section>
            )}
            {report && <Goals raw={detail.data?.report ?? null} />}
            {report && <Figures report={report} />}
            {report && <Anomalies report={report} />}
            {report && <Keys report={report} />}
            {hasHistory && timeline.error === null && <Operations />}
            <Context />
            {report && <HowSure report={report} />}
            <TakeAway />
          </div>
          <Drawer />
          <PreparingNote />
        </RunContext.Provider>
      )}
    </Frame>
  );
}

function Missing({ error, retry }: { error: NonNullable<ReturnType<typeof useFetch>["error"]>; retry: () => void }) {
  return (
    <div class="empty">
      <Problem error={error} retry={retry} />
      {!alone && (
        <p>
          <Link href="/">To the list of runs</Link>
        </p>
      )}
    </div>
  );
}

/** The wall-clock time at which the history's clock read 0. */
function startOf(detail: RunDetail): string | null {
  const stated = detail.header?.["started"];
  return typeof stated === "string" ? stated : detail.summary.started;
}

/** What the charts point out: operations of violations, those of the open example, and the one in the drawer. */
function pointed(report: Report | null): Pointed {
  const { anomaly, op } = place.value;
  const example = report?.anomalies.find((a) => a.name === anomaly?.name)?.examples[anomaly?.example ?? 0];
  const violations = report?.anomalies.filter((a) => a.judgement === "violation") ?? [];
  return {
    violations: violations.flatMap((a) => a.examples.flatMap((e) => e.ops)),
    open: [...(example?.ops ?? []), ...(op === null ? [] : [op])],
  };
}

function useKeys(report: Report | null): (key: string) => void {
  return useCallback(
    (key: string) => {
      if (key === "Escape") {
        if (place.value.op !== null) open({ op: null });
        else if (place.value.anomaly !== null) open({ anomaly: null });
        return;
      }
      if (report === null) return;
      const current = place.value.anomaly;
      const next =
        key === "n"
          ? step(report, current, 1)
          : key === "p"
            ? step(report, current, -1)
            : key === "f"
              ? step(report, null, 1)
              : null;
      if (next) open({ anomaly: next });
    },
    [report],
  );
}
