// Under which conditions: the contract, the configuration, the plan, the versions, the nodes.

import { useState } from "preact/hooks";
import type { Json, JsonObject } from "../api/types";
import { clock, nanos } from "../lib/format";
import { object, plain } from "../lib/json";
import { place } from "../lib/state";
import { JudgementBadge, Section } from "./basics";
import { NodeLines } from "./logs";
import { useRun } from "./run-context";

function Pairs({ title, of }: { title: string; of: JsonObject }) {
  const pairs = Object.entries(of).filter(([, v]) => v !== null);
  if (pairs.length === 0) return null;
  return (
    <div class="pairs">
      <h3>{title}</h3>
      <dl>
        {pairs.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd class="mono">{plain(value)}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function Source({ title, of }: { title: string; of: Json | undefined }) {
  if (of === null || of === undefined) return null;
  return (
    <details>
      <summary>{title}</summary>
      <pre class="source">{JSON.stringify(of, null, 2)}</pre>
    </details>
  );
}

export function Context() {
  const { detail, report } = useRun();
  if (detail.header === null && detail.plan === null && report === null && detail.nodes.length === 0) return null;
  const header = detail.header ?? {};
  const cluster = object(header["cluster"]);
  const { nodes, ...clusterFacts } = cluster;
  const run: JsonObject = {
    workload: header["workload"] ?? null,
    nemesis: header["nemesis"] ?? null,
    seed: header["seed"] ?? null,
    started: header["started"] ?? null,
    events: report?.events ?? null,
    model: report?.model ?? null,
  };
  return (
    <Section id="context" title="Context">
      <div class="pairs-grid">
        <Pairs title="Run" of={run} />
        <Pairs title="What was configured" of={object(header["config"])} />
        <Pairs title="Cluster" of={clusterFacts} />
        <Pairs title="Versions" of={object(header["versions"])} />
        {report && report.errors.length > 0 && (
          <Pairs title="Errors that clients saw" of={Object.fromEntries(report.errors)} />
        )}
        {report?.lag && <Pairs title="Worst real-time lag" of={lagFacts(report.lag)} />}
      </div>
      <Contract />
      <Source title="Plan" of={detail.plan ?? header["plan"]} />
      <Source title="Nodes and their configuration" of={nodes} />
      <NodeLog />
    </Section>
  );
}

/** How far behind the newest record a consumer was at worst. */
function lagFacts(lag: JsonObject): JsonObject {
  const { lag_ns: behind, time, ...rest } = lag;
  return {
    ...(typeof behind === "number" ? { behind: nanos(behind) } : {}),
    ...(typeof time === "number" ? { at: clock(time) } : {}),
    ...rest,
  };
}

function Contract() {
  const { report } = useRun();
  const rules = report?.contract.rules ?? [];
  if (rules.length === 0) return null;
  return (
    <details>
      <summary>
        What this configuration promises (contract {report?.contract.name}, {rules.length} rules)
      </summary>
      <div class="scroll">
        <table class="rules">
          <thead>
            <tr>
              <th scope="col">Anomaly</th>
              <th scope="col">Judgement</th>
              <th scope="col">Rule</th>
            </tr>
          </thead>
          <tbody>
            {rules.map((r) => (
              <tr key={r.anomaly}>
                <th scope="row" class="mono">
                  {r.anomaly}
                </th>
                <td>
                  <JudgementBadge judgement={r.judgement} />
                </td>
                <td>{r.rule}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

/** The nodes' lines within the window of the charts, loaded when asked for. */
function NodeLog() {
  const { detail } = useRun();
  const [shown, setShown] = useState(false);
  const window = place.value.window;
  if (detail.nodes.length === 0) return null;
  return (
    <details onToggle={(e) => setShown(e.currentTarget.open)}>
      <summary>Node log lines{window === null ? "" : ` from ${clock(window.from)} to ${clock(window.to)}`}</summary>
      {shown && <NodeLines from={window?.from ?? null} to={window?.to ?? null} limit={500} />}
    </details>
  );
}
