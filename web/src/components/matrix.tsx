// Offset by observer: who wrote what at each offset round an anomaly, and who read it.

import { api } from "../api/client";
import type { LogRow, LogSeen } from "../api/types";
import { columns, repeated, rows, type RowState, stateOf } from "../lib/matrix";
import { show } from "../lib/operation";
import { useFetch } from "../lib/use-fetch";
import { OpLink, Problem } from "./basics";
import { who } from "./operation";
import { useRun } from "./run-context";

const AROUND = 6;

const STATES: Record<RowState, string> = {
  read: "",
  lost: "✕ acknowledged, never read",
  conflict: "≠ several values",
  duplicate: "2× stands at other offsets too",
  hole: "no record known",
};

export function Matrix({ logKey, offset }: { logKey: string; offset: number }) {
  const { id } = useRun();
  const params = { key: logKey, from: Math.max(0, offset - AROUND), to: offset + AROUND };
  const { data, error } = useFetch(JSON.stringify([id, params]), (s) => api.log(id, params, s));
  if (error) return <Problem error={error} />;
  if (!data) return null;
  const observers = columns(data);
  const all = rows(data);
  const twice = repeated(all);
  return (
    <div class="scroll">
      <table class="matrix">
        <caption>
          {logKey} round offset {offset}: who wrote and who read. ● read · ◉ read in the final phase · empty: not read
          by this process
        </caption>
        <LogHead observers={observers} />
        <tbody>
          {all.map((row) => (
            <LogLine
              key={row.offset}
              row={row}
              observers={observers}
              here={row.offset === offset}
              state={stateOf(row, twice)}
            />
          ))}
        </tbody>
      </table>
      {observers.length < data.observers.length && (
        <p class="quiet">
          {data.observers.length - observers.length} more processes read this topic-partition; the search of the
          operation table shows them.
        </p>
      )}
    </div>
  );
}

export function LogHead({ observers }: { observers: (number | string)[] }) {
  return (
    <thead>
      <tr>
        <th scope="col" class="number">
          Offset
        </th>
        <th scope="col">Written</th>
        {observers.map((o) => (
          <th scope="col" key={o} class="observer" title={`reads of ${who(o)}`}>
            {typeof o === "number" ? `p${o}` : o}
          </th>
        ))}
        <th scope="col">Note</th>
      </tr>
    </thead>
  );
}

interface LineProps {
  row: LogRow;
  observers: (number | string)[];
  here: boolean;
  state: RowState;
}

export function LogLine({ row, observers, here, state }: LineProps) {
  return (
    <tr class={`state-${state}${here ? " here" : ""}`} aria-current={here ? "true" : undefined}>
      <th scope="row" class="number">
        {row.offset}
      </th>
      <td class="mono written">
        {row.writes.map((w) => (
          <OpLink key={w.i} op={w.i}>
            {show(w.value)} {w.type === "ok" ? "" : w.type}{" "}
          </OpLink>
        ))}
      </td>
      {observers.map((o) => (
        <td key={o} class="observer">
          <Cell reads={row.reads.filter((r) => r.process === o)} conflict={state === "conflict"} />
        </td>
      ))}
      <td class="matrix-note">
        {STATES[state]}
        {row.hidden_reads > 0 && <span class="quiet"> and {row.hidden_reads} more reads</span>}
      </td>
    </tr>
  );
}

function Cell({ reads, conflict }: { reads: LogSeen[]; conflict: boolean }) {
  const read = reads.find((r) => r.final) ?? reads[0];
  if (!read) return null;
  const text = conflict ? show(read.value) : read.final ? "◉" : "●";
  return (
    <OpLink op={read.i}>
      <span title={`read ${show(read.value)}${reads.length > 1 ? `, ${reads.length} times` : ""}`}>{text}</span>
    </OpLink>
  );
}
