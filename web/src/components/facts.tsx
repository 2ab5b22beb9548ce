// A named fact, and a named list of them.

import type { GlossaryEntry } from "../api/types";
import { Prose } from "./basics";

function Fact({ name, text }: { name: string; text: string }) {
  if (text === "") return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {text.split("\n\n").map((paragraph) => (
          <p key={paragraph}>
            <Prose text={paragraph.replace(/^- /, "– ")} />
          </p>
        ))}
      </dd>
    </div>
  );
}

function Items({ name, items }: { name: string; items: string[] }) {
  if (items.length === 0) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <ul>
          {items.map((item) => (
            <li key={item}>
              <Prose text={item} />
            </li>
          ))}
        </ul>
      </dd>
    </div>
  );
}

/** What the glossary says of an anomaly; `whole`: also how it is found and what is promised. */
export function Explained({ entry, whole = false }: { entry: GlossaryEntry; whole?: boolean }) {
  return (
    <dl class="entry-facts">
      <Fact name="What it is" text={entry.what} />
      <Fact name="Impact" text={entry.why} />
      <Items name="Likely causes" items={entry.causes} />
      <Items name="What to do" items={entry.actions} />
      {whole && (
        <>
          <Fact name="How it is found" text={entry.how} />
          <Fact name="What is promised" text={entry.contract} />
        </>
      )}
      <Fact name="Source" text={entry.source} />
    </dl>
  );
}
