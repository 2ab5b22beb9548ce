import type { Report } from "../lib/report";
import { OpLinks, Section } from "./basics";

/** What happened, in numbered sentences with the operations that show it. */
export function Story({ report }: { report: Report }) {
  if (report.story.length === 0) return null;
  return (
    <Section id="story" title="What happened">
      <ol class="story">
        {report.story.map((sentence, i) => (
          <li key={i}>
            {sentence.text} <OpLinks ops={sentence.ops} max={8} />
          </li>
        ))}
      </ol>
    </Section>
  );
}
