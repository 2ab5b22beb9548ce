// What can be carried into a ticket or to another machine.

import { fileUrl } from "../api/client";
import { bytes } from "../lib/format";
import { rerun } from "../lib/kcat";
import { ticket } from "../lib/markdown";
import { permalink, place } from "../lib/state";
import { CopyButton, Section } from "./basics";
import { useRun } from "./run-context";

const WHAT: Record<string, string> = {
  "history.jsonl": "every operation, one JSON object a line",
  "report.json": "what the checker says of it",
  "plan.json": "the resolved plan",
  "status.json": "who wrote the run, and when",
};

export function TakeAway() {
  const { id, detail, report } = useRun();
  const again = rerun(detail.header);
  const markdown = () =>
    report === null ? "" : ticket(report, { summary: detail.summary, link: permalink({}), rerun: again });
  const [top, node] = [
    detail.files.filter((f) => !f.path.includes("/")),
    detail.files.filter((f) => f.path.includes("/")),
  ];
  return (
    <Section id="take-away" title="Take it away">
      <div class="take-tools">
        {report && <CopyButton text={markdown}>Copy as Markdown for a ticket</CopyButton>}
        <CopyButton text={() => permalink(place.value)}>Copy a link to this view</CopyButton>
      </div>
      <ul class="files">
        {top.map((f) => (
          <li key={f.path}>
            <a href={fileUrl(id, f.path)} download>
              {f.path}
            </a>{" "}
            <span class="quiet">
              {bytes(f.bytes)} · {WHAT[f.path] ?? ""}
            </span>
          </li>
        ))}
      </ul>
      {node.length > 0 && (
        <details>
          <summary>{node.length} files of the nodes</summary>
          <ul class="files">
            {node.map((f) => (
              <li key={f.path}>
                <a href={fileUrl(id, f.path)} download>
                  {f.path}
                </a>{" "}
                <span class="quiet">{bytes(f.bytes)}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
      <Command what="Check it again" line={`perjury check ${detail.path}`} />
      {again !== null && <Command what="Run it again with the same seed" line={again} />}
    </Section>
  );
}

function Command({ what, line }: { what: string; line: string }) {
  return (
    <div class="command">
      <span>{what}</span>
      <code>{line}</code>
      <CopyButton text={() => line}>Copy</CopyButton>
    </div>
  );
}
