// All operations, searched on the server and paged.

import { useEffect, useState } from "preact/hooks";
import { api } from "../api/client";
import type { Operation } from "../api/types";
import { clock, integer, millis, plural } from "../lib/format";
import { ended, first, jsonl, last, summary, tookMs } from "../lib/operation";
import { parseSearch, withField } from "../lib/search";
import { open, place } from "../lib/state";
import { useFetch } from "../lib/use-fetch";
import { CopyButton, OpLink, Outcome, Problem, Section } from "./basics";
import { useRun } from "./run-context";

const PAGE = 50;
const QUICK: [string, string, string][] = [
  ["sends", "f", "send"],
  ["polls", "f", "poll"],
  ["fail", "type", "fail"],
  ["info", "type", "info"],
  ["never completed", "type", "open"],
  ["nemesis", "process", "nemesis"],
  ["cluster", "process", "cluster"],
];

export function Operations() {
  const { id } = useRun();
  const { search, window } = place.value;
  const [text, setText] = useState(search);
  // Where each page so far begins: pages are found by index, so going back means remembering.
  const [starts, setStarts] = useState<number[]>([0]);
  useEffect(() => setText(search), [search]);
  useEffect(() => {
    const timer = setTimeout(() => open({ search: text.trim() }, "replace"), 250);
    return () => clearTimeout(timer);
  }, [text]);
  const asked = parseSearch(search);
  const bounds = window === null ? {} : { since: window.from, until: window.to };
  const query = JSON.stringify([asked.params, bounds]);
  useEffect(() => setStarts([0]), [query]);
  const params = { ...asked.params, ...bounds, from: starts.at(-1) ?? 0, limit: PAGE };
  const { data, error, loading } = useFetch(JSON.stringify([id, params]), (s) => api.operations(id, params, s));
  const aside = (
    <span>
      <kbd>/</kbd> search
    </span>
  );
  return (
    <Section id="operations" title="Operations" aside={aside}>
      {api.held !== undefined && api.held !== "whole" && (
        <p class="notice">
          {api.held === "window"
            ? "This file holds the operations round the anomalies. The full history stands beside it in the bundle, or on the server."
            : "This file holds the few operations that show the anomaly. The full history stands beside it in the bundle, or on the server."}
        </p>
      )}
      <div role="search" class="op-search">
        <input
          type="search"
          value={text}
          onInput={(e) => setText(e.currentTarget.value)}
          aria-label="Search operations"
          placeholder="key:orders-2 offset:118 process:3 f:send type:info value:17 error:TIMED_OUT"
          spellcheck={false}
        />
        <div class="chips" role="group" aria-label="Quick filters">
          {QUICK.map(([label, field, value]) => {
            const on = asked.params[field] === value;
            return (
              <button
                type="button"
                class="chip"
                key={label}
                aria-pressed={on}
                onClick={() => setText(withField(text, field, on ? "" : value))}
              >
                {label}
              </button>
            );
          })}
          {window !== null && (
            <button
              type="button"
              class="chip"
              aria-pressed="true"
              onClick={() => open({ window: null }, "replace")}
              title="The window of the charts; press to lift it"
            >
              {clock(window.from)} – {clock(window.to)} ✕
            </button>
          )}
        </div>
        {asked.problems.map((p) => (
          <p class="search-problem" key={p} role="status">
            {p}
          </p>
        ))}
      </div>
      {error && <Problem error={error} />}
      {data && data.operations.length === 0 && (
        <p>No operation matches. Take fields out of the search, or lift the window of time.</p>
      )}
      {data && data.operations.length > 0 && (
        <>
          <Rows operations={data.operations} busy={loading} />
          <nav class="pages" aria-label="Pages of operations">
            <button
              type="button"
              class="button"
              disabled={starts.length < 2}
              onClick={() => setStarts(starts.slice(0, -1))}
            >
              Earlier
            </button>
            <span>
              {integer(data.before + 1)}–{integer(data.before + data.operations.length)} of{" "}
              {plural(data.total, "operation")}
            </span>
            <button
              type="button"
              class="button"
              disabled={data.next === null}
              onClick={() => data.next !== null && setStarts([...starts, data.next])}
            >
              Later
            </button>
            <CopyButton text={() => jsonl(data.operations)}>Copy this page as JSONL</CopyButton>
          </nav>
        </>
      )}
    </Section>
  );
}

function Rows({ operations, busy }: { operations: Operation[]; busy: boolean }) {
  return (
    <div class="scroll">
      <table class={busy ? "ops busy" : "ops"}>
        <thead>
          <tr>
            <th scope="col" class="number">
              Op
            </th>
            <th scope="col" class="number">
              Invoked
            </th>
            <th scope="col" class="number">
              Took
            </th>
            <th scope="col">Process</th>
            <th scope="col">f</th>
            <th scope="col">Outcome</th>
            <th scope="col">Value</th>
          </tr>
        </thead>
        <tbody>
          {operations.map((op) => (
            <Row key={first(op).index} op={op} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ op }: { op: Operation }) {
  const event = last(op);
  const show = (e: MouseEvent) => {
    if (!(e.target as Element).closest("a") && getSelection()?.toString() === "") open({ op: event.index });
  };
  return (
    <tr class={place.value.op === event.index ? "op-row here" : "op-row"} onClick={show}>
      <td class="number">
        <OpLink op={event.index}>{event.index}</OpLink>
      </td>
      <td class="number nowrap">{clock(first(op).time)}</td>
      <td class="number nowrap">{millis(tookMs(op))}</td>
      <td>{event.process ?? ""}</td>
      <td>{event.f}</td>
      <td>
        <Outcome type={ended(op)} />
      </td>
      <td class="op-summary">
        {event.error && <code class="error-code">{event.error.code}</code>} {summary(op)}
      </td>
    </tr>
  );
}
