// The picture of one case: the operations that prove it, its circle, or the order that ends.

import { api } from "../api/client";
import { useFetch } from "../lib/use-fetch";
import { stepsOf } from "../lib/proof/cycle";
import { prefixOf } from "../lib/proof/prefix";
import { show } from "../lib/operation";
import { currentCase, type Report } from "../lib/report";
import { place } from "../lib/state";
import { JudgementBadge, Loading, Problem, Section } from "./basics";
import { Cycle } from "./cycle";
import { LongestPrefix } from "./prefix";
import { ProofChart } from "./proof-chart";
import { useRun } from "./run-context";

/** More than this nobody reads as a picture. */
const OPS_MAX = 12;

export function Proof({ report }: { report: Report }) {
  const { id, timeline } = useRun();
  const now = currentCase(report, place.value.anomaly);
  const ops = now?.example.ops.slice(0, OPS_MAX).join() ?? "";
  const { data, error, loading } = useFetch(ops === "" ? null : `${id} ${ops}`, (s) =>
    api.operations(id, { index: ops }, s),
  );
  if (now === null) return null;
  const { anomaly, example } = now;
  const about = {
    key: example.key === null ? null : show(example.key),
    offset: example.offset,
    value: example.value === null ? null : show(example.value),
  };
  const steps = stepsOf(example.other);
  const prefix = prefixOf(example.other);
  return (
    <Section id="proof" title="The proof, drawn">
      <p class="proof-head">
        <JudgementBadge judgement={anomaly.judgement} /> <span class="mono">{anomaly.name}</span> {example.sentence}
      </p>
      {steps.length > 0 && <Cycle steps={steps} />}
      {loading && data === null && <Loading what="the operations" />}
      {error && <Problem error={error} />}
      {data && <ProofChart operations={data.operations} about={about} fault={example.fault} timeline={timeline} />}
      {prefix && <LongestPrefix prefix={prefix} culprit={example.ops[0] ?? null} />}
      {example.ops.length > OPS_MAX && (
        <p class="quiet">The first {OPS_MAX} of its operations are drawn; the case below lists all.</p>
      )}
    </Section>
  );
}
