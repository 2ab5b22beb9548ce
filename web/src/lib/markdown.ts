// The report as text for a ticket: at most 60 lines, and true without the link.

import type { RunSummary } from "../api/types";
import { clock, integer, millis } from "./format";
import type { Anomaly, Report } from "./report";

const LINES_MAX = 60;
const EXAMPLES_MAX = 3;

/** Text from a history or a broker, such that no character of it is markup of a ticket. */
export function escape(text: string): string {
  return text
    .replace(/[\r\n]+/g, " ")
    .replace(/[\\`*_{}[\]<>#|~]/g, (c) => (c === "<" ? "&lt;" : c === ">" ? "&gt;" : `\\${c}`))
    .replace(/@(?=\w)/g, "@\u200b");
}

function anomaly(a: Anomaly): string[] {
  const head = `- **${escape(a.name)}** (${escape(a.title)}): ${integer(a.count)}, ${a.judgement === "allowed" ? "allowed here" : a.judgement}`;
  const examples = a.examples.slice(0, EXAMPLES_MAX).map((e) => {
    const ops = e.ops.length === 0 ? "" : ` (operations ${e.ops.slice(0, 6).join(", ")})`;
    return `  - ${escape(e.sentence)}${ops}`;
  });
  return a.rule === "" ? [head, ...examples] : [head, `  - Rule: ${escape(a.rule)}`, ...examples];
}

export interface TicketContext {
  summary: RunSummary;
  link: string;
  rerun: string | null;
}

export function ticket(report: Report, { summary, link, rerun }: TicketContext): string {
  const settings = Object.entries(report.contract.config).map(
    ([k, v]) => `${escape(k)} ${escape(typeof v === "string" ? v : JSON.stringify(v))}`,
  );
  const head = [`### ${escape(report.headline)}`, ""];
  const facts = [
    `- Run \`${summary.id}\`${summary.started === null ? "" : `, ${summary.started}`}`,
    ...(summary.cluster === null
      ? []
      : [
          `- Cluster: ${escape(summary.cluster)}${summary.bugs.length > 0 ? `, bugs switched on: ${summary.bugs.map(escape).join(", ")}` : ""}`,
        ]),
    ...(settings.length === 0 ? [] : [`- Configuration: ${settings.join(", ")}`]),
    ...(report.confidence === "" ? [] : [`- Confidence: ${escape(report.confidence)}`]),
    `- Coverage: ${report.coverage.witnessed} of ${report.coverage.injected} faults witnessed, final reads ${escape(report.coverage.finalRead)}`,
    ...report.reasons.map((r) => `- Unknown because \`${r.code.replaceAll("`", "")}\`: ${escape(r.message)}`),
  ];
  const story =
    report.story.length === 0
      ? []
      : ["", "**What happened**", "", ...report.story.slice(0, 8).map((s, i) => `${i + 1}. ${escape(s.text)}`)];
  const faults = report.faults
    .slice(0, 6)
    .map(
      (f) =>
        `- ${escape(f.f)} node ${f.nodes.map(escape).join(", ")} (${escape(f.target)}) at ${clock(f.start)}; new leader after ${millis(f.electionMs)}; ${f.witnessed ? "witnessed" : "not witnessed"}`,
    );
  const tail = ["", ...(rerun === null ? [] : [`Run it again: \`${rerun}\``]), `Report: ${link}`];
  const body = [
    ...head,
    ...facts,
    ...story,
    ...(report.anomalies.length === 0 ? [] : ["", "**Anomalies**", "", ...report.anomalies.flatMap(anomaly)]),
    ...(faults.length === 0 ? [] : ["", "**Faults**", "", ...faults]),
  ];
  const room = LINES_MAX - tail.length - 1;
  const cut = body.length > room ? [...body.slice(0, room), "- … more in the report"] : body;
  return `${[...cut, ...tail].join("\n")}\n`;
}
