// How sure the verdict is: what was looked for, what was given up, and by which program.

import { integer, plural } from "../lib/format";
import { object } from "../lib/json";
import type { Report } from "../lib/report";
import { Prose, Section, Shape } from "./basics";
import { useRun } from "./run-context";
import { coverageLine } from "./verdict";

export function HowSure({ report }: { report: Report }) {
  const { detail } = useRun();
  const versions = object(detail.header?.["versions"]);
  const raw = object(detail.report);
  const by = (verdict: string) => report.analyses.filter(([, v]) => v === verdict);
  const chances = Object.entries(object(object(raw["calibration"])["chances"]));
  return (
    <Section id="sure" title="How sure">
      <dl class="entry-facts">
        {report.confidence !== "" && <Row name="Confidence">{report.confidence}</Row>}
        <Row name="Coverage">{coverageLine(report)}</Row>
        <Row name="Looked for">
          {plural(report.analyses.length, "analysis", "analyses")}: {integer(by("valid").length)} found nothing
          prohibited, {integer(by("invalid").length)} found a violation, {integer(by("unknown").length)} could not
          decide.
        </Row>
        {report.reasons.length > 0 && (
          <Row name="Left open">
            <ul>
              {report.reasons.map((r) => (
                <li key={r.code}>
                  <code>{r.code}</code> <Prose text={r.message} />
                </li>
              ))}
            </ul>
          </Row>
        )}
        {report.recall !== "" && (
          <Row name="Recall">
            {report.recall}
            {chances.length > 0 && (
              <ul>
                {chances.map(([bug, chance]) => (
                  <li key={bug}>
                    <span class="mono">{bug}</span>: {typeof chance === "number" ? chance.toFixed(2) : "–"}
                  </li>
                ))}
              </ul>
            )}
          </Row>
        )}
        <Row name="Judged by">
          contract {report.contract.name}, model {report.model}
          {Object.entries(versions).map(([name, version]) => (
            <span key={name}>
              {" "}
              · {name} {typeof version === "string" ? version : JSON.stringify(version)}
            </span>
          ))}
        </Row>
      </dl>
      <details class="analyses">
        <summary>Every analysis and what it says</summary>
        <ul>
          {report.analyses.map(([name, verdict]) => (
            <li key={name} class={`verdict-${verdict}`}>
              <Shape kind={verdict} size={12} /> <span class="mono">{name}</span>{" "}
              <span class="visually-hidden">{verdict}</span>
            </li>
          ))}
        </ul>
      </details>
    </Section>
  );
}

function Row({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
