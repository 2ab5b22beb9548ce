// One operation in full: what was asked, what was answered, when, and what failed.

import { useState } from "preact/hooks";
import type { Json, Operation } from "../api/types";
import { clock, integer, millis, plural, wall } from "../lib/format";
import { ended, extras, first, last, polled, sends, show, summary, tookMs } from "../lib/operation";
import { OpLink, Outcome } from "./basics";
import { useRun } from "./run-context";

/** The place of a log that an anomaly speaks of, marked wherever it appears. */
export interface Focus {
  key: string | null;
  offset: number | null;
  value: string | null;
}

export function OperationCard({ op, focus, open = true }: { op: Operation; focus?: Focus; open?: boolean }) {
  const { started } = useRun();
  const event = last(op);
  const [begin, end] = [op.invoke?.time, op.complete?.time];
  return (
    <article class="op-card" data-testid="operation" aria-label={`Operation ${event.index}`}>
      <header class="op-head">
        <OpLink op={event.index} />
        <Outcome type={ended(op)} />
        <span class="op-what">
          {event.f} by {who(event.process)}
        </span>
        <span class="op-took">
          {tookMs(op) === null ? (op.invoke === null ? "" : "never completed") : millis(tookMs(op))}
        </span>
      </header>
      <dl class="op-times">
        {op.invoke !== null && <Moment label="invoked" index={op.invoke.index} ns={begin} started={started} />}
        {op.complete !== null && (
          <Moment
            label={op.invoke === null ? "seen" : "completed"}
            index={op.complete.index}
            ns={end}
            started={started}
          />
        )}
      </dl>
      {event.error && (
        <p class="op-error">
          <code>{event.error.code}</code> {event.error.message}
        </p>
      )}
      <OperationValue op={op} focus={focus} open={open} />
      <Extras op={op} />
    </article>
  );
}

export function who(process: number | string | undefined | null): string {
  return process === undefined || process === null
    ? "an unnamed process"
    : typeof process === "number"
      ? `process ${process}`
      : process;
}

function Moment({
  label,
  index,
  ns,
  started,
}: {
  label: string;
  index: number;
  ns: number | undefined;
  started: string | null;
}) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>
        {ns === undefined ? "no time" : clock(ns)}{" "}
        <span class="quiet">
          event {index}
          {ns === undefined ? "" : ` · ${wall(started, ns) ?? ""}`}
        </span>
      </dd>
    </div>
  );
}

const RECORDS_SHOWN = 60;

function OperationValue({ op, focus, open }: { op: Operation; focus: Focus | undefined; open: boolean }) {
  const event = last(op);
  const [sent, read] = [sends(event), polled(event)];
  if (sent.length + read.length === 0) {
    const text = summary(op);
    const complex = typeof event.value === "object" && event.value !== null && text.length > 80;
    return complex ? (
      <pre class="op-json">{JSON.stringify(event.value, null, 2)}</pre>
    ) : text === "" ? null : (
      <p class="op-value mono">{text}</p>
    );
  }
  const records = read.reduce((n, g) => n + g.records.length, 0) + (op.hidden_records ?? 0);
  return (
    <div class="op-value">
      {sent.map((s, i) => (
        <p key={i} class={marks(focus, s.key, s.offset ?? null, s.value) ? "mono marked" : "mono"}>
          {s.key} ← {s.value}{" "}
          {s.offset === undefined ? <span class="quiet">not answered</span> : <>at offset {s.offset ?? "?"}</>}
        </p>
      ))}
      {read.length > 0 && (
        <details open={open && records <= RECORDS_SHOWN}>
          <summary>
            {plural(records, "record")}: <span class="mono">{summary(op)}</span>
          </summary>
          {read.map((g) => (
            <Records key={g.key} group={g} focus={focus} />
          ))}
          {op.hidden_records ? (
            <p class="quiet">{integer(op.hidden_records)} more records; open the operation to see them.</p>
          ) : null}
        </details>
      )}
    </div>
  );
}

function marks(focus: Focus | undefined, key: string, offset: number | null, value: string): boolean {
  if (!focus || (focus.key !== null && focus.key !== key)) return false;
  return (
    (focus.offset !== null && focus.offset === offset) ||
    (focus.value !== null && focus.key !== null && focus.value === value)
  );
}

function Records({ group, focus }: { group: ReturnType<typeof polled>[number]; focus: Focus | undefined }) {
  const [all, setAll] = useState(false);
  const at =
    focus && focus.key === group.key && focus.offset !== null
      ? group.records.findIndex((r) => (r.offset ?? -1) >= (focus.offset ?? 0))
      : -1;
  const from = all || at < 0 ? 0 : Math.max(0, at - RECORDS_SHOWN / 2);
  const shown = all ? group.records : group.records.slice(from, from + RECORDS_SHOWN);
  return (
    <div class="records">
      <span class="mono records-key">{group.key}</span>
      <ul>
        {from > 0 && <li class="quiet">… {integer(from)} before</li>}
        {shown.map((r, i) => (
          <li
            key={i}
            class={marks(focus, group.key, r.offset, show(r.value)) ? "marked" : ""}
            title={r.meta === null ? undefined : JSON.stringify(r.meta)}
          >
            <span class="offset">{r.offset ?? "?"}</span> {show(r.value)}
          </li>
        ))}
        {shown.length < group.records.length && (
          <li>
            <button type="button" class="link" onClick={() => setAll(true)}>
              show all {integer(group.records.length)}
            </button>
          </li>
        )}
      </ul>
    </div>
  );
}

const plain = (value: Json): string => (typeof value === "object" ? JSON.stringify(value) : String(value));

function Extras({ op }: { op: Operation }) {
  const fields = extras(op);
  if (fields.length === 0) return null;
  return (
    <dl class="op-extras">
      {fields.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class="mono">{plain(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A row for tables; the whole of it opens the operation. */
export function operationKey(op: Operation): number {
  return first(op).index;
}
