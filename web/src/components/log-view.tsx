// The whole log of a topic-partition, offset by observer, however long: only what is in sight is fetched and drawn.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { api, type ApiError } from "../api/client";
import type { LogRow, LogView as LogPage } from "../api/types";
import { columns, nothing, repeated, stateOf } from "../lib/matrix";
import { integer } from "../lib/format";
import { show } from "../lib/operation";
import { currentCase, type Report } from "../lib/report";
import { heightOf, pagesOf, ROW, rowAt, scrollAt } from "../lib/virtual";
import { place } from "../lib/state";
import { Problem, Section } from "./basics";
import { LogHead, LogLine } from "./matrix";
import { useRun } from "./run-context";

const SHOWN = 16;
/** The height of the column names, in CSS pixels. */
const HEAD = 30;
const PAGE = 200;
/** How many pages are kept. */
const KEPT = 40;

/** A place of a log that an anomaly speaks of. */
interface Spot {
  key: string;
  offset: number;
  name: string;
}

function spotsOf(report: Report): Spot[] {
  const all = report.anomalies
    .filter((a) => a.judgement !== "allowed")
    .flatMap((a) =>
      a.examples.flatMap((e) =>
        e.key !== null && e.offset !== null ? [{ key: show(e.key), offset: e.offset, name: a.name }] : [],
      ),
    );
  return all.sort((a, b) => a.key.localeCompare(b.key) || a.offset - b.offset);
}

export function LogSection({ report }: { report: Report }) {
  const spots = useMemo(() => spotsOf(report), [report]);
  const example = currentCase(report, place.value.anomaly)?.example;
  const wanted = example?.key !== undefined && example.key !== null ? show(example.key) : null;
  const [key, setKey] = useState<string>(() => wanted ?? spots[0]?.key ?? report.keys[0]?.key ?? "");
  const [target, setTarget] = useState<number>(() => example?.offset ?? spots.find((s) => s.key === key)?.offset ?? 0);
  useEffect(() => {
    if (wanted === null) return;
    setKey(wanted);
    if (example && example.offset !== null) setTarget(example.offset);
  }, [wanted, example?.offset]);
  if (key === "") return null;
  const here = spots.filter((s) => s.key === key);
  const choose = (next: string) => {
    setKey(next);
    setTarget(spots.find((s) => s.key === next)?.offset ?? 0);
  };
  const next = here.find((s) => s.offset > target) ?? here[0];
  return (
    <Section id="log" title="The log">
      <div class="log-tools">
        <label>
          Topic-partition{" "}
          <select value={key} onChange={(e) => choose(e.currentTarget.value)}>
            {[...new Set([key, ...report.keys.map((k) => k.key)])].map((k) => (
              <option key={k}>{k}</option>
            ))}
          </select>
        </label>
        <Jump go={setTarget} />
        {next && (
          <button type="button" class="button" onClick={() => setTarget(next.offset)}>
            Next anomaly on it: {next.name} at {integer(next.offset)}
          </button>
        )}
      </div>
      <Scroller key={key} logKey={key} target={target} spots={here} />
      <p class="caption">
        Down: offsets. Across: who wrote and who read. ● read · ◉ read in the final phase · empty: not read by this
        process · ✕ acknowledged, never read · ≠ several values at one offset · 2× one value at several offsets.
      </p>
    </Section>
  );
}

function Jump({ go }: { go: (offset: number) => void }) {
  const [text, setText] = useState("");
  return (
    <form
      class="jump"
      onSubmit={(e) => {
        e.preventDefault();
        if (/^\d+$/.test(text.trim())) go(Number(text));
      }}
    >
      <label>
        Offset{" "}
        <input
          type="text"
          inputMode="numeric"
          size={10}
          value={text}
          onInput={(e) => setText(e.currentTarget.value)}
          aria-invalid={text !== "" && !/^\d+$/.test(text.trim())}
        />
      </label>
      <button class="button">Go</button>
    </form>
  );
}

interface Loaded {
  pages: Map<number, LogPage>;
  error: ApiError | null;
}

/** Fetches pages of the log as they come into sight, and keeps the latest of them. */
function usePages(id: string, key: string, wanted: number[]): Loaded {
  const [state, setState] = useState<Loaded>({ pages: new Map(), error: null });
  const under = useRef(new Set<number>());
  const list = wanted.join();
  useEffect(() => {
    const abort = new AbortController();
    // A scroll bar that is dragged passes many pages: only those it rests on are fetched.
    const timer = setTimeout(() => {
      for (const page of wanted) {
        if (state.pages.has(page) || under.current.has(page)) continue;
        under.current.add(page);
        const params = { key, from: page * PAGE, to: (page + 1) * PAGE - 1 };
        api.log(id, params, abort.signal).then(
          (view) => {
            under.current.delete(page);
            setState(({ pages }) => ({ pages: new Map([...pages, [page, view] as const].slice(-KEPT)), error: null }));
          },
          (error: ApiError) => {
            under.current.delete(page);
            if (!abort.signal.aborted) setState((s) => ({ ...s, error }));
          },
        );
      }
    }, 60);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [id, key, list]);
  return state;
}

function Scroller({ logKey, target, spots }: { logKey: string; target: number; spots: Spot[] }) {
  const { id } = useRun();
  const box = useRef<HTMLDivElement>(null);
  const [first, setFirst] = useState(Math.max(0, target - SHOWN / 2));
  const top = Math.floor(first);
  const { pages, error } = usePages(id, logKey, pagesOf(top, SHOWN, PAGE));
  const known = [...pages.values()];
  const highest = Math.max(-1, ...known.map((p) => p.highest ?? -1));
  const total = Math.max(highest + 1, known.length === 0 ? top + SHOWN : 0);
  const observers = useMemo(
    () => columns({ rows: known.flatMap((p) => p.rows), observers: known[0]?.observers ?? [] }),
    [pages],
  );
  const moveTo = (row: number) => {
    const next = Math.min(Math.max(0, total - SHOWN), Math.max(0, row));
    setFirst(next);
    if (box.current) box.current.scrollTop = scrollAt(next, total, SHOWN);
  };
  // With the commit: after the paint it would undo what was pressed or scrolled meanwhile.
  useLayoutEffect(() => moveTo(Math.max(0, target - SHOWN / 2)), [target, total]);
  const byOffset = useMemo(() => new Map(known.flatMap((p) => p.rows.map((r) => [r.offset, r] as const))), [pages]);
  const loaded = (offset: number) => pages.has(Math.floor(offset / PAGE));
  const visible: (LogRow | null)[] = [];
  for (let o = top; o < Math.min(total, top + SHOWN); o++) {
    visible.push(byOffset.get(o) ?? (loaded(o) ? nothing(o) : null));
  }
  const twice = useMemo(() => repeated([...byOffset.values()]), [byOffset]);
  const scrolled = () => {
    const at = box.current?.scrollTop ?? 0;
    // What was set from here comes back as an event, and says nothing new.
    if (Math.abs(at - scrollAt(first, total, SHOWN)) > 1.5) setFirst(rowAt(at, total, SHOWN));
  };
  const wheel = (e: WheelEvent) => {
    // Where one pixel of the bar stands for many rows, the wheel still moves row by row.
    if (total * ROW <= heightOf(total) || e.deltaY === 0) return;
    e.preventDefault();
    moveTo(top + Math.sign(e.deltaY) * Math.max(1, Math.round(Math.abs(e.deltaY) / ROW)));
  };
  const press = (e: KeyboardEvent) => {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: SHOWN, PageUp: -SHOWN }[e.key];
    if (by !== undefined) moveTo(top + by);
    else if (e.key === "Home") moveTo(0);
    else if (e.key === "End") moveTo(total);
    else return;
    e.preventDefault();
  };
  useEffect(() => {
    const element = box.current;
    element?.addEventListener("wheel", wheel, { passive: false });
    return () => element?.removeEventListener("wheel", wheel);
  });
  if (error) return <Problem error={error} />;
  return (
    <>
      {highest >= 0 && <Overview total={total} top={top} spots={spots} go={(o) => moveTo(o - SHOWN / 2)} />}
      <div
        class="log-box"
        ref={box}
        tabIndex={0}
        role="region"
        aria-label={`Log of ${logKey}: offsets 0 to ${Math.max(0, total - 1)}`}
        onScroll={scrolled}
        onKeyDown={press}
        data-testid="log-box"
      >
        <div class="log-height" style={{ height: `${heightOf(total) + HEAD}px` }} />
        <div class="log-window">
          <table class="matrix fixed" aria-rowcount={total}>
            <LogHead observers={observers} />
            <tbody>
              {visible.map((row, i) =>
                row === null ? (
                  <tr key={top + i}>
                    <th scope="row" class="number">
                      {top + i}
                    </th>
                    <td colSpan={observers.length + 2} class="quiet">
                      …
                    </td>
                  </tr>
                ) : (
                  <LogLine
                    key={row.offset}
                    row={row}
                    observers={observers}
                    here={row.offset === target}
                    state={stateOf(row, twice)}
                  />
                ),
              )}
            </tbody>
          </table>
        </div>
      </div>
    </>
  );
}

/** The whole length of the log as a line: where the anomalies are, and which part is in sight. */
function Overview({
  total,
  top,
  spots,
  go,
}: {
  total: number;
  top: number;
  spots: Spot[];
  go: (offset: number) => void;
}) {
  const at = (offset: number) => (100 * offset) / Math.max(1, total);
  const press = (e: MouseEvent & { currentTarget: SVGSVGElement }) => {
    const { left, width } = e.currentTarget.getBoundingClientRect();
    go(Math.round((total * (e.clientX - left)) / Math.max(1, width)));
  };
  const text = `${integer(total)} offsets; anomalies at ${
    spots.length === 0
      ? "none"
      : spots
          .slice(0, 20)
          .map((s) => s.offset)
          .join(", ")
  }; in sight from ${top}`;
  return (
    <div class="log-overview">
      <span class="quiet">0</span>
      <svg viewBox="0 0 100 14" preserveAspectRatio="none" role="img" aria-label={text} onClick={press}>
        <rect class="log-whole" y="5" width="100" height="4" />
        <rect class="log-sight" x={at(top)} y="2" width={Math.max(0.6, at(SHOWN))} height="10" />
        {spots.map((s, i) => (
          <rect key={i} class="log-spot" x={at(s.offset)} width="0.35" height="14" />
        ))}
      </svg>
      <span class="quiet">{integer(Math.max(0, total - 1))}</span>
    </div>
  );
}
