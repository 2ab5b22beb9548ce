// What the nodes printed within a window of time.

import { useState } from "preact/hooks";
import { api } from "../api/client";
import { clock } from "../lib/format";
import { level, uncoloured } from "../lib/log-line";
import { useFetch } from "../lib/use-fetch";
import { Problem } from "./basics";
import { useRun } from "./run-context";

export function NodeLines({ from, to, limit = 200 }: { from: number | null; to: number | null; limit?: number }) {
  const { id, detail } = useRun();
  const [node, setNode] = useState("");
  const params = {
    node,
    from: from === null ? null : Math.round(from),
    to: to === null ? null : Math.round(to),
    limit,
  };
  const key = detail.nodes.length === 0 ? null : JSON.stringify([id, params]);
  const { data, error, loading } = useFetch(key, (s) => api.nodeLog(id, params, s));
  if (detail.nodes.length === 0) return <p class="quiet">The nodes left no logs in the run directory.</p>;
  return (
    <div class="node-log">
      <div class="chips" role="group" aria-label="Whose lines">
        {["", ...detail.nodes].map((n) => (
          <button type="button" class="chip" key={n} aria-pressed={node === n} onClick={() => setNode(n)}>
            {n === "" ? "all nodes" : `node ${n}`}
          </button>
        ))}
        {from !== null && to !== null && (
          <span class="quiet">
            {clock(Math.max(0, from))} – {clock(to)}
          </span>
        )}
      </div>
      {error && <Problem error={error} />}
      {data && data.lines.length === 0 && !loading && <p class="quiet">No line was printed within this window.</p>}
      {data && data.lines.length > 0 && (
        <div class="scroll log-scroll" tabIndex={0} role="region" aria-label="Node log lines">
          <table class="log-lines">
            <thead class="visually-hidden">
              <tr>
                <th scope="col">Time</th>
                <th scope="col">Node</th>
                <th scope="col">Line</th>
              </tr>
            </thead>
            <tbody>
              {data.lines.map((line, i) => (
                <tr key={i} class={level(line.text)}>
                  <td class="nowrap">{line.t === null ? "" : clock(line.t)}</td>
                  <td class="nowrap">
                    {line.node}
                    {line.stream === "stderr" ? " err" : ""}
                  </td>
                  <td class="log-text">{uncoloured(line.text)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {data?.more && <p class="quiet">More lines follow; the log files below have all.</p>}
    </div>
  );
}
