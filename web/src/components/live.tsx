// A run while it is under way: what it does, how fast, who leads, what was found so far.

import { useState } from "preact/hooks";
import { eventsUrl, runPath } from "../api/client";
import type { Progress } from "../api/types";
import { integer, millis, plural } from "../lib/format";
import { uncoloured } from "../lib/log-line";
import { useEvents } from "../lib/use-events";
import { Link, OpLink, VerdictBadge } from "./basics";

/** How many points of the rate are kept, and how many lines are shown. */
const KEPT = 120;
const LINES = 12;

function progressOf(data: unknown): Progress | null {
  if (data === null || typeof data !== "object") return null;
  const p = data as Partial<Progress>;
  return {
    run: p.run ?? "",
    phase: p.phase ?? "",
    elapsed_ms: p.elapsed_ms ?? 0,
    operations: p.operations ?? 0,
    ok: p.ok ?? 0,
    fail: p.fail ?? 0,
    info: p.info ?? 0,
    ops_per_s: p.ops_per_s ?? 0,
    faults: p.faults ?? 0,
    leaders: p.leaders ?? {},
    verdict: p.verdict ?? "unknown",
    violations: p.violations ?? [],
    violations_total: p.violations_total ?? p.violations?.length ?? 0,
    acknowledged: p.acknowledged ?? 0,
    passed_over: p.passed_over ?? 0,
    lines: p.lines ?? [],
  };
}

/**
 * Follows a run; `ended` is called when something changed that the page should look at. `link`: the run is one of a
 * campaign, named with a link, and followed among all events, since it may not have begun.
 */
export function Live({ id, link = false, ended }: { id: string; link?: boolean; ended?: () => void }) {
  const [now, setNow] = useState<Progress | null>(null);
  const [rates, setRates] = useState<{ t: number; rate: number }[]>([]);
  const line = useEvents(eventsUrl(link ? null : id), {
    progress: (data) => {
      const next = progressOf(data);
      if (next === null || next.run !== id) return;
      setNow(next);
      setRates((all) =>
        [...all.filter((r) => r.t < next.elapsed_ms), { t: next.elapsed_ms, rate: next.ops_per_s }].slice(-KEPT),
      );
    },
    state: () => ended?.(),
    campaign: () => ended?.(),
  });
  return (
    <div class="live" data-testid="live">
      <p class="live-head">
        <span class={`live-dot live-${line}`} aria-hidden="true" />
        <span role="status">
          {line === "lost" ? "The connection was lost; it is tried again." : line === "open" ? "Live" : "Connecting …"}
        </span>
        {link && (
          <Link href={`/runs/${runPath(id)}`} class="mono">
            {id}
          </Link>
        )}
      </p>
      {now === null ? (
        <p class="quiet">Nothing was heard of it yet; the cluster may still be forming.</p>
      ) : (
        <Now now={now} rates={rates} links={!link} />
      )}
    </div>
  );
}

function Now({ now, rates, links }: { now: Progress; rates: { t: number; rate: number }[]; links: boolean }) {
  const found = new Map<string, { ops: number[]; sentence: string }>();
  for (const v of now.violations) {
    const kind = found.get(v.anomaly) ?? { ops: [], sentence: v.sentence ?? "" };
    if (v.operation !== null) kind.ops.push(v.operation);
    found.set(v.anomaly, kind);
  }
  return (
    <>
      <dl class="figures">
        <Item name="Phase" value={now.phase} note={millis(now.elapsed_ms)} />
        <Item name="Operations per second" value={integer(now.ops_per_s)} testid="live-rate" />
        <Item
          name="Operations"
          value={integer(now.operations)}
          note={`${integer(now.ok)} ok, ${integer(now.fail)} fail, ${integer(now.info)} info`}
          testid="live-operations"
        />
        <Item name="Faults" value={integer(now.faults)} note="injected so far" />
        <Item
          name="Acknowledged"
          value={integer(now.acknowledged)}
          note={`${integer(now.passed_over)} passed over by reads`}
        />
        <div class="figure">
          <dt>Verdict so far</dt>
          <dd aria-live="polite">
            <VerdictBadge verdict={now.verdict} />
            <span class="figure-note">
              {found.size === 0 ? "nothing prohibited was found yet" : plural(now.violations_total, "violation")}
            </span>
          </dd>
        </div>
      </dl>
      <RateLine rates={rates} />
      {Object.keys(now.leaders).length > 0 && <Leaders leaders={now.leaders} />}
      {found.size > 0 && (
        <ul class="live-found">
          {[...found].map(([anomaly, { ops, sentence }]) => (
            <li key={anomaly} class="lost">
              <span class="mono">✕ {anomaly}</span>{" "}
              {ops.slice(0, 6).map((op) =>
                links ? (
                  <OpLink key={op} op={op} />
                ) : (
                  <span key={op} class="mono">
                    op {op}{" "}
                  </span>
                ),
              )}
              {sentence !== "" && <span class="live-sentence">{sentence}</span>}
            </li>
          ))}
        </ul>
      )}
      {now.lines.length > 0 && (
        <pre class="source live-lines" tabIndex={0} aria-label="The last lines of the run">
          {now.lines.slice(-LINES).map(uncoloured).join("\n")}
        </pre>
      )}
    </>
  );
}

function Item({ name, value, note, testid }: { name: string; value: string; note?: string; testid?: string }) {
  return (
    <div class="figure">
      <dt>{name}</dt>
      <dd>
        <span class="figure-value" data-testid={testid}>
          {value}
        </span>
        {note !== undefined && <span class="figure-note">{note}</span>}
      </dd>
    </div>
  );
}

/** Operations per second since the page was opened. */
function RateLine({ rates }: { rates: { t: number; rate: number }[] }) {
  const [first, last] = [rates[0], rates.at(-1)];
  if (!first || !last || rates.length < 2) return null;
  const high = Math.max(1, ...rates.map((r) => r.rate));
  const [width, height] = [600, 64];
  const x = (t: number) => (width * (t - first.t)) / Math.max(1, last.t - first.t);
  const y = (rate: number) => height - 4 - ((height - 10) * rate) / high;
  const path = rates.map((r, i) => `${i === 0 ? "M" : "L"}${x(r.t).toFixed(1)} ${y(r.rate).toFixed(1)}`).join("");
  const low = Math.min(...rates.map((r) => r.rate));
  const text = `Operations per second over the last ${millis(last.t - first.t)}: between ${integer(low)} and ${integer(high)}, now ${integer(last.rate)}`;
  return (
    <figure class="rate-line">
      <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={text}>
        <path class="rate-area" d={`${path}L${width} ${height}L0 ${height}Z`} />
        <path class="rate-path" d={path} />
      </svg>
      <figcaption class="quiet">{text}</figcaption>
    </figure>
  );
}

function Leaders({ leaders }: { leaders: Record<string, number> }) {
  const all = Object.entries(leaders).sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  return (
    <p class="live-leaders">
      <span class="quiet">Leaders:</span>{" "}
      {all.slice(0, 40).map(([key, node]) => (
        <span key={key} class="tag">
          {key} <b>node {node}</b>
        </span>
      ))}
      {all.length > 40 && <span class="quiet"> and {all.length - 40} more</span>}
    </p>
  );
}
