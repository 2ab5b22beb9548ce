// One operation beside the page, with what surrounded it; every mention of an operation leads here.

import { useEffect, useRef } from "preact/hooks";
import { api } from "../api/client";
import type { Operation, RunDetail } from "../api/types";
import { bandLabel, leaderLabel } from "../lib/charts/layout";
import { clock } from "../lib/format";
import { bootstrap, kcat } from "../lib/kcat";
import type { Report } from "../lib/report";
import { jsonl, last, first, polled, sends } from "../lib/operation";
import { open, permalink, place } from "../lib/state";
import { useFetch } from "../lib/use-fetch";
import { CopyButton, Loading, Problem } from "./basics";
import { NodeLines } from "./logs";
import { OperationCard } from "./operation";
import { useRun } from "./run-context";

export function Drawer() {
  const { id } = useRun();
  const index = place.value.op;
  const { data, error, loading } = useFetch(index === null ? null : `${id} ${index}`, (s) =>
    api.operations(id, { index }, s),
  );
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    if (index !== null) panel.current?.focus({ preventScroll: true });
  }, [index]);
  if (index === null) return null;
  const op = data?.operations[0];
  return (
    <aside class="drawer" ref={panel} tabIndex={-1} aria-label={`Operation ${index}`} data-testid="drawer">
      <header class="drawer-head">
        <h2>Operation {index}</h2>
        <button type="button" class="button plain" onClick={() => open({ op: null })} aria-label="Close the operation">
          ✕
        </button>
      </header>
      {loading && <Loading what="the operation" />}
      {error && <Problem error={error} />}
      {data && !op && <p>The history has no event {index}. It may have been cut since the report was written.</p>}
      {op && <Detail op={op} />}
    </aside>
  );
}

function Detail({ op }: { op: Operation }) {
  const { detail, report } = useRun();
  const begin = first(op).time;
  const line = kcatOf(op, detail, report);
  return (
    <>
      <OperationCard op={op} />
      <div class="drawer-tools">
        <Neighbours op={op} />
        <CopyButton text={() => permalink({ op: last(op).index })}>Copy link</CopyButton>
        <CopyButton text={() => jsonl([op])}>Copy JSONL</CopyButton>
        {line !== null && <CopyButton text={() => line}>Copy kcat line</CopyButton>}
      </div>
      {begin !== undefined && <Around from={begin - 2e9} to={(last(op).time ?? begin) + 2e9} at={begin} />}
    </>
  );
}

/** A line that reads the place of the operation's first record again. */
function kcatOf(op: Operation, detail: RunDetail, report: Report | null): string | null {
  const event = last(op);
  const sent = sends(event)[0];
  const group = polled(event)[0];
  const [key, offset] = sent ? [sent.key, sent.offset] : [group?.key, group?.records[0]?.offset];
  if (key === undefined || offset === null || offset === undefined) return null;
  const isolation = report?.contract.config["isolation_level"];
  const servers = bootstrap(detail.header?.["cluster"]);
  return kcat(key, offset, servers, typeof isolation === "string" ? isolation : null);
}

/** Steps to the operations of the same process, and to those on the same key. */
function Neighbours({ op }: { op: Operation }) {
  const event = last(op);
  const key = sends(event)[0]?.key ?? polled(event)[0]?.key;
  const search = (text: string) => {
    open({ search: text, op: null });
    document.getElementById("operations")?.scrollIntoView();
  };
  return (
    <>
      {event.process !== undefined && (
        <button type="button" class="button" onClick={() => search(`process:${event.process}`)}>
          All of {typeof event.process === "number" ? `process ${event.process}` : event.process}
        </button>
      )}
      {key !== undefined && (
        <button type="button" class="button" onClick={() => search(`key:${key}`)}>
          All of {key}
        </button>
      )}
    </>
  );
}

/** Faults, leader changes and node log lines round the operation. */
function Around({ from, to, at }: { from: number; to: number; at: number }) {
  const { timeline, detail } = useRun();
  const bands = timeline?.bands.filter((b) => b.start <= to && b.end >= from) ?? [];
  const leaders = timeline?.leaders.filter((l) => l.t >= from && l.t <= to) ?? [];
  const relative = (t: number) => `${t >= at ? "+" : "−"}${(Math.abs(t - at) / 1e9).toFixed(3)} s`;
  return (
    <section class="around" aria-label="Around this operation">
      <h3>From 2 s before to 2 s after</h3>
      {bands.length + leaders.length === 0 && <p class="quiet">No fault and no leader change.</p>}
      <ul>
        {bands.map((b) => (
          <li key={b.fault}>
            <span class="nowrap">{relative(b.start)}</span> fault {b.fault}: {bandLabel(b, true)}, until {clock(b.end)}
            {b.witnessed === false ? ", not witnessed" : ""}
          </li>
        ))}
        {leaders.slice(0, 12).map((l, i) => (
          <li key={i}>
            <span class="nowrap">{relative(l.t)}</span> {leaderLabel(l)}
          </li>
        ))}
      </ul>
      {detail.nodes.length > 0 && (
        <details>
          <summary>Node log lines</summary>
          <NodeLines from={from} to={to} />
        </details>
      )}
    </section>
  );
}
