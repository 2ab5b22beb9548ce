// Every anomaly, the worst first; an example opens its operations, its place in the log, and what surrounded it.

import { useEffect, useRef, useState } from "preact/hooks";
import { api } from "../api/client";
import type { Json, Operation } from "../api/types";
import { bandLabel, windowOf, within } from "../lib/charts/layout";
import { clock, integer, plural } from "../lib/format";
import { bootstrap, kcat } from "../lib/kcat";
import { jsonl, last, show } from "../lib/operation";
import { type Anomaly, type Example, type Fold, foldsOf, type Report } from "../lib/report";
import { open, permalink, place } from "../lib/state";
import { useFetch } from "../lib/use-fetch";
import { CopyButton, JudgementBadge, Loading, OpLinks, Problem, Section } from "./basics";
import { Explained } from "./facts";
import { NodeLines } from "./logs";
import { Matrix } from "./matrix";
import { type Focus, OperationCard, operationKey } from "./operation";
import { useRun } from "./run-context";

export function Anomalies({ report }: { report: Report }) {
  const aside =
    report.anomalies.length === 0 ? null : (
      <span>
        <kbd>n</kbd> <kbd>p</kbd> step through
      </span>
    );
  return (
    <Section id="anomalies" title="Anomalies" aside={aside}>
      {report.anomalies.length === 0 ? (
        <p>None was found by {plural(report.analyses.length, "analysis", "analyses")}.</p>
      ) : (
        report.anomalies.map((a) => <Group key={a.name} anomaly={a} />)
      )}
    </Section>
  );
}

/** How many folds of a kind are listed before the rest is asked for. */
const FIRST = 5;

function Group({ anomaly }: { anomaly: Anomaly }) {
  const [all, setAll] = useState(false);
  const chosen = place.value.anomaly;
  const opened = chosen?.name === anomaly.name ? chosen.example : null;
  const { timeline } = useRun();
  const { window } = place.value;
  // Cases next to a fault outside the window of the charts step aside, unless one of them is open.
  const inSight = (i: number) => {
    const band = timeline?.bands.find((b) => b.fault === anomaly.examples[i]?.fault);
    return i === opened || band === undefined || within(window, band.start, band.end);
  };
  const everything = foldsOf(anomaly.examples);
  const folds = everything.filter((f) => f.members.some(inSight));
  const aside = everything.length - folds.length;
  const beyond = opened !== null && folds.findIndex((f) => f.members.includes(opened)) >= FIRST;
  const shown = all || beyond ? folds : folds.slice(0, FIRST);
  return (
    <article class="anomaly" aria-label={anomaly.name}>
      <header>
        <h3>
          <span class="mono">{anomaly.name}</span> <span class="anomaly-title">{anomaly.title}</span>
        </h3>
        <span class="anomaly-count">
          {plural(anomaly.count, "case")}
          {anomaly.violations > 0 &&
            anomaly.violations < anomaly.count &&
            `, ${integer(anomaly.violations)} of them prohibited`}
        </span>
        <JudgementBadge judgement={anomaly.judgement} />
      </header>
      {anomaly.rule !== "" && <p class="anomaly-rule">{anomaly.rule}</p>}
      {anomaly.analysis !== "" && anomaly.analysis !== anomaly.name && (
        <p class="anomaly-how">Found by the analysis {anomaly.analysis}.</p>
      )}
      <Meaning name={anomaly.name} />
      <ol class="examples">
        {shown.map((fold) => (
          <Folded key={fold.members[0]} name={anomaly.name} fold={fold} examples={anomaly.examples} open={opened} />
        ))}
      </ol>
      {aside > 0 && (
        <p class="quiet">
          {plural(aside, "group")} of cases next to faults outside the window{" "}
          <button type="button" class="link" onClick={() => showWindow(null)}>
            show the whole run
          </button>
        </p>
      )}
      {shown.length < folds.length && (
        <button type="button" class="link more" onClick={() => setAll(true)}>
          Show {integer(folds.length - shown.length)} more
        </button>
      )}
      {anomaly.count > anomaly.examples.length && shown.length === folds.length && shown.length > 0 && (
        <p class="quiet">
          The {integer(anomaly.examples.length)} most telling of {integer(anomaly.count)} are listed.
        </p>
      )}
    </article>
  );
}

/** What the glossary says of it, unfolded when asked for. */
function Meaning({ name }: { name: string }) {
  const [shown, setShown] = useState(false);
  const { data } = useFetch(shown ? "glossary" : null, (s) => api.glossary(s));
  const entry = data?.anomalies.find((a) => a.name === name);
  return (
    <details class="meaning" onToggle={(e) => setShown(e.currentTarget.open)}>
      <summary>What it means, likely causes, what to do</summary>
      {entry && <Explained entry={entry} />}
      {data && !entry && <p class="quiet">The glossary has no entry for it.</p>}
    </details>
  );
}

interface FoldedProps {
  name: string;
  fold: Fold;
  examples: Example[];
  open: number | null;
}

/** Cases of one cause: the first of them, the others when asked for. */
function Folded({ name, fold, examples, open: chosen }: FoldedProps) {
  const [wide, setWide] = useState(false);
  const [head, ...rest] = fold.members;
  const spread = wide || (chosen !== null && rest.includes(chosen));
  const item = (at: number | undefined) => {
    const example = at === undefined ? undefined : examples[at];
    return example && at !== undefined ? <ExampleItem key={at} name={name} at={at} example={example} /> : null;
  };
  return (
    <>
      {item(head)}
      {spread && rest.map(item)}
      {!spread && rest.length > 0 && (
        <li>
          <button type="button" class="link more" onClick={() => setWide(true)}>
            {plural(rest.length, "more case")} of the same: {fold.label}
          </button>
        </li>
      )}
    </>
  );
}

function ExampleItem({ name, at, example }: { name: string; at: number; example: Example }) {
  const item = useRef<HTMLLIElement>(null);
  const chosen = place.value.anomaly;
  const isOpen = chosen?.name === name && chosen.example === at;
  const drawn = useRun().timeline !== null;
  useEffect(() => {
    // Once more when the charts above have taken their room: a link leads to the case, not to where it was.
    if (isOpen) item.current?.scrollIntoView({ block: "nearest" });
  }, [isOpen, drawn]);
  const id = `anomaly-${name}-${at}`;
  return (
    <li class={isOpen ? "example example-open" : "example"} ref={item}>
      <button
        type="button"
        class="example-sentence"
        data-testid="anomaly-example"
        aria-expanded={isOpen}
        aria-controls={id}
        onClick={() => open({ anomaly: isOpen ? null : { name, example: at } })}
      >
        <span class="twist" aria-hidden="true">
          {isOpen ? "▾" : "▸"}
        </span>
        <span>{example.sentence || `${name}, case ${at + 1}`}</span>
      </button>
      {isOpen && (
        <div class="example-body" id={id}>
          <ExampleDetail name={name} at={at} example={example} />
        </div>
      )}
    </li>
  );
}

function ExampleDetail({ name, at, example }: { name: string; at: number; example: Example }) {
  const { id, timeline, started } = useRun();
  const wanted = example.ops.slice(0, 64).join();
  const { data, error, loading } = useFetch(wanted === "" ? null : `${id} ${wanted}`, (s) =>
    api.operations(id, { index: wanted }, s),
  );
  const focus: Focus = {
    key: example.key === null ? null : show(example.key),
    offset: example.offset,
    value: example.value === null ? null : show(example.value),
  };
  const moments = (data?.operations ?? []).map((op) => last(op).time).filter((t) => t !== undefined);
  const center = moments.length > 0 ? Math.min(...moments) : null;
  const band = timeline?.bands.find((b) => b.fault === example.fault);
  return (
    <>
      <Facts example={example} />
      {band && timeline && (
        <p class="nearby">
          Nearby: fault {band.fault}, {bandLabel(band, true)}, from {clock(band.start)} to {clock(band.end)}.{" "}
          <button type="button" class="link" onClick={() => showWindow(windowOf(band, timeline.duration))}>
            Show on the charts
          </button>
        </p>
      )}
      <h4>Operations</h4>
      {loading && <Loading what="the operations" />}
      {error && <Problem error={error} />}
      {wanted === "" && <p class="quiet">This case names no single operation.</p>}
      <div class="op-cards">
        {data?.operations.map((op) => (
          <OperationCard key={operationKey(op)} op={op} focus={focus} />
        ))}
      </div>
      {focus.key !== null && focus.offset !== null && (
        <>
          <h4>The log at this place</h4>
          <Matrix logKey={focus.key} offset={focus.offset} />
        </>
      )}
      {center !== null && (
        <details>
          <summary>Node log lines from 2 s before to 2 s after</summary>
          <NodeLines from={center - 2e9} to={Math.max(...moments.filter((t) => t - center < 10e9), center) + 2e9} />
        </details>
      )}
      <ExampleTools name={name} at={at} focus={focus} operations={data?.operations ?? []} started={started} />
    </>
  );
}

function showWindow(window: { from: number; to: number } | null): void {
  open({ window }, "replace");
  if (window !== null) document.getElementById("timeline")?.scrollIntoView();
}

const plain = (v: Json): string => (typeof v === "string" || typeof v === "number" ? String(v) : JSON.stringify(v));

function Facts({ example }: { example: Example }) {
  const facts: [string, string][] = [];
  if (example.key !== null) facts.push(["topic-partition", show(example.key)]);
  if (example.offset !== null) facts.push(["offset", String(example.offset)]);
  if (example.value !== null) facts.push(["value", show(example.value)]);
  for (const [name, value] of example.other) facts.push([name.replaceAll("_", " "), plain(value)]);
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class="mono">{value}</dd>
        </div>
      ))}
      {example.ops.length > 0 && (
        <div>
          <dt>operations</dt>
          <dd>
            <OpLinks ops={example.ops} />
          </dd>
        </div>
      )}
    </dl>
  );
}

function ExampleTools({
  name,
  at,
  focus,
  operations,
}: {
  name: string;
  at: number;
  focus: Focus;
  operations: Operation[];
  started: string | null;
}) {
  const { detail, report } = useRun();
  const isolation = report?.contract.config["isolation_level"];
  const line =
    focus.key !== null && focus.offset !== null
      ? kcat(
          focus.key,
          focus.offset,
          bootstrap(detail.header?.["cluster"]),
          typeof isolation === "string" ? isolation : null,
        )
      : null;
  return (
    <div class="example-tools">
      <CopyButton text={() => permalink({ anomaly: { name, example: at } })}>Copy link</CopyButton>
      {operations.length > 0 && <CopyButton text={() => jsonl(operations)}>Copy operations as JSONL</CopyButton>}
      {line !== null && <CopyButton text={() => line}>Copy kcat line</CopyButton>}
    </div>
  );
}
