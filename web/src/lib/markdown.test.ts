import { describe, expect, it } from "vitest";
import type { RunSummary } from "../api/types";
import { escape, ticket } from "./markdown";
import { readReport, type Report } from "./report";

const summary: RunSummary = {
  id: "lost/20261123T120431.207Z",
  name: "lost",
  time: "20261123T120431.207Z",
  status: "complete",
  verdict: "invalid",
  reasons: [],
  operations: 1,
  anomalies: {},
  violations: 1,
  headline: null,
  workload: "queue",
  nemesis: ["kill"],
  seed: 7,
  cluster: "testbed 0.1.0",
  bugs: ["forget-unsynced"],
  started: "2026-11-23T12:04:31.207Z",
  finished: null,
  problem: null,
};
const context = { summary, link: "http://127.0.0.1/runs/x", rerun: "perjury run --seed 7" };

function report(examples: number): Report {
  const example = { sentence: "Value 17 <script> `x` | @team was lost.", ops: [3, 9] };
  const raw = {
    headline: "INVALID · 3 records lost",
    story: Array.from({ length: 20 }, (_, i) => ({ text: `Sentence ${i}`, ops: [] })),
    contract: { config: { acks: "all", idempotence: true } },
    anomalies: Object.fromEntries(
      Array.from({ length: 30 }, (_, i) => [
        `kind-${i}`,
        { count: examples, judgement: "violation", rule: "A rule.", examples: Array(examples).fill(example) },
      ]),
    ),
  };
  return readReport(raw) as Report;
}

describe("the text for a ticket", () => {
  it("never has more than 60 lines, and keeps the way to run it again", () => {
    const text = ticket(report(9), context);
    expect(text.trimEnd().split("\n").length).toBeLessThanOrEqual(60);
    expect(text).toContain("`perjury run --seed 7`");
    expect(text).toContain("more in the report");
    expect(text).toContain("acks all, idempotence true");
  });
  it("lets no text of a broker be markup or call people", () => {
    const text = ticket(report(1), context);
    expect(text).toContain("Value 17 &lt;script&gt; \\`x\\` \\| @\u200bteam was lost.");
    expect(text).not.toContain("<script>");
    expect(escape("a\nb\r\n# c")).toBe("a b \\# c");
  });
});
