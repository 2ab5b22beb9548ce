// Counts, and what each fault did to availability.

import type { Timeline } from "../api/types";
import { windowOf, within } from "../lib/charts/layout";
import { clock, integer, millis, nanos, percent } from "../lib/format";
import type { Fault, Report } from "../lib/report";
import { open, place } from "../lib/state";
import { Section } from "./basics";
import { useRun } from "./run-context";

function Figure({
  label,
  value,
  note,
  alarm = false,
}: {
  label: string;
  value: string;
  note?: string | undefined;
  alarm?: boolean;
}) {
  return (
    <div class={alarm ? "figure figure-alarm" : "figure"}>
      <dt>{label}</dt>
      <dd>
        <span class="figure-value">{value}</span>
        {note !== undefined && <span class="figure-note">{note}</span>}
      </dd>
    </div>
  );
}

export function Figures({ report }: { report: Report }) {
  const { sends, polls } = report;
  return (
    <Section id="figures" title="In figures">
      <dl class="figures">
        <Figure
          label="Acknowledged"
          value={integer(report.acknowledged)}
          note={`of ${integer(sends.ok + sends.fail + sends.info)} sends`}
        />
        <Figure
          label="Read back"
          value={integer(report.acknowledgedRead)}
          note={percent(report.acknowledgedRead, report.acknowledged)}
        />
        <Figure
          label="Lost"
          value={integer(report.lost)}
          note="acknowledged, passed by reads, never seen"
          alarm={report.lost > 0}
        />
        <Figure label="Unseen" value={integer(report.unseen)} note="not read by the end" />
        <Figure
          label="Sends"
          value={integer(sends.ok)}
          note={`${integer(sends.fail)} fail, ${integer(sends.info)} info`}
        />
        <Figure
          label="Polls"
          value={integer(polls.ok)}
          note={`${integer(polls.fail)} fail, ${integer(polls.info)} info${report.polledRecords === null ? "" : `; ${integer(report.polledRecords)} records`}`}
        />
        <Figure label="Formation" value={millis(report.formationMs)} note="until all nodes agreed" />
        <Figure label="Leader changes" value={report.leaderChanges === null ? "–" : integer(report.leaderChanges)} />
        <Figure label="Longest gap" value={millis(report.longestGapMs)} note="without an acknowledged send" />
      </dl>
      {report.faults.length > 0 && <Faults faults={report.faults} />}
    </Section>
  );
}

function Faults({ faults: all }: { faults: Fault[] }) {
  const { timeline } = useRun();
  const window = place.value.window;
  const faults = all.filter((f) => within(window, f.start, f.end));
  const longest = Math.max(1, ...faults.map((f) => f.electionMs ?? 0), ...faults.map((f) => f.firstOkMs ?? 0));
  return (
    <div class="scroll">
      <table class="faults">
        <caption>
          Each fault, and how long the cluster took to go on
          {faults.length < all.length && (
            <>
              : {integer(faults.length)} of {integer(all.length)} fall into the window of the charts
            </>
          )}
        </caption>
        <thead>
          <tr>
            <th scope="col">Fault</th>
            <th scope="col">Target</th>
            <th scope="col">At</th>
            <th scope="col" class="number">
              Lasted
            </th>
            <th scope="col">Witness</th>
            <th scope="col">New leader after</th>
            <th scope="col">First ok send after</th>
            <th scope="col" class="number">
              Longest gap
            </th>
          </tr>
        </thead>
        <tbody>
          {faults.map((f) => (
            <tr key={f.fault}>
              <th scope="row">
                <FaultName fault={f} timeline={timeline} />
              </th>
              <td>
                {f.target}
                {f.nodes.length > 0 && <> · node {f.nodes.join(", ")}</>}
                {f.key !== null && <span class="quiet"> · {f.key}</span>}
              </td>
              <td class="nowrap">{clock(f.start)}</td>
              <td class="number">{f.start === null || f.end === null ? "–" : nanos(Math.max(0, f.end - f.start))}</td>
              <td class="witness">
                <span class={f.witnessed ? "yes" : "no"}>{f.witnessed ? "✓ witnessed" : "✕ not witnessed"}</span>
                {f.why !== "" && <span class="quiet"> {f.why}</span>}
              </td>
              <td>
                <Bar ms={f.electionMs} of={longest} />
              </td>
              <td>
                <Bar ms={f.firstOkMs} of={longest} />
              </td>
              <td class="number">{millis(f.gapMs)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function FaultName({ fault, timeline }: { fault: Fault; timeline: Timeline | null }) {
  const name = `${fault.fault} ${fault.f}`;
  const band = timeline?.bands.find((b) => b.fault === fault.fault);
  if (!timeline || !band) return <>{name}</>;
  const show = () => {
    open({ window: windowOf(band, timeline.duration) }, "replace");
    document.getElementById("timeline")?.scrollIntoView();
  };
  return (
    <button type="button" class="link" onClick={show} title="Show it on the charts">
      {name}
    </button>
  );
}

function Bar({ ms, of }: { ms: number | null; of: number }) {
  if (ms === null) return <span class="quiet">–</span>;
  return (
    <span class="bar-cell">
      <span class="bar-number">{millis(ms)}</span>
      <svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        <rect width={Math.max(1, (100 * ms) / of)} height="6" />
      </svg>
    </span>
  );
}

export function Keys({ report }: { report: Report }) {
  if (report.keys.length === 0) return null;
  return (
    <Section id="keys" title="By topic-partition">
      <div class="scroll">
        <table class="keys">
          <thead>
            <tr>
              <th scope="col">Topic-partition</th>
              <th scope="col" class="number">
                Acknowledged
              </th>
              <th scope="col" class="number">
                Read back
              </th>
              <th scope="col" class="number">
                Lost
              </th>
              <th scope="col" class="number">
                Unseen
              </th>
              <th scope="col" class="number">
                Highest offset
              </th>
              <th scope="col">
                <span class="visually-hidden">Operations</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {report.keys.map((k) => (
              <tr key={k.key} class={k.lost > 0 ? "alarm" : ""}>
                <th scope="row">{k.key}</th>
                <td class="number">{integer(k.acknowledged)}</td>
                <td class="number">{integer(k.read)}</td>
                <td class="number">{k.lost === 0 ? "0" : <strong class="lost">✕ {integer(k.lost)}</strong>}</td>
                <td class="number">{integer(k.unseen)}</td>
                <td class="number">{k.highest === null ? "–" : integer(k.highest)}</td>
                <td>
                  <a href={`#q=${encodeURIComponent(`key:${k.key}`)}`} onClick={(e) => show(e, k.key)}>
                    operations
                  </a>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {report.keysTotal > report.keys.length && (
        <p class="quiet">
          {integer(report.keys.length)} of {integer(report.keysTotal)} topic-partitions are listed, the worst first.
        </p>
      )}
    </Section>
  );
}

function show(e: MouseEvent, key: string): void {
  e.preventDefault();
  open({ search: `key:${key}` });
  document.getElementById("operations")?.scrollIntoView();
}
