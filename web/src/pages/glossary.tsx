// Every anomaly: what it is, what it does to whoever meets it, where it comes from, what to do.

import { useEffect, useState } from "preact/hooks";
import { api } from "../api/client";
import type { GlossaryEntry } from "../api/types";
import { CopyButton, Link, Loading, Problem } from "../components/basics";
import { Explained } from "../components/facts";
import { Frame } from "../components/frame";
import { plural } from "../lib/format";
import { place } from "../lib/state";
import { useFetch } from "../lib/use-fetch";

const GROUPS: Record<string, string> = {
  queue: "Logs and queues, by Jepsen’s names",
  transactions: "Transactions, by Elle’s names",
  promises: "Other promises, by Perjury’s own names",
};

export function GlossaryPage() {
  const { data, error, loading, reload } = useFetch("glossary", (s) => api.glossary(s));
  const [search, setSearch] = useState("");
  useEffect(() => {
    document.title = "Anomalies · Perjury";
  }, []);
  const wanted = place.value.anomaly?.name;
  useEffect(() => {
    if (data && wanted !== undefined) document.getElementById(`a-${wanted}`)?.scrollIntoView();
  }, [data, wanted]);
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = (data?.anomalies ?? []).filter((a) => {
    const text = `${a.name} ${a.title} ${a.group} ${a.what} ${a.why} ${a.causes.join(" ")}`.toLowerCase();
    return words.every((w) => text.includes(w));
  });
  const groups = [...new Set(shown.map((a) => a.group))];
  return (
    <Frame>
      <div class="list-page glossary">
        <h1 class="page-title">Anomalies</h1>
        <p class="page-lead">
          What a history can show that a correct log would not do. Whether one is a violation depends on what the
          configuration promises; each run's report says so.
        </p>
        {error && <Problem error={error} retry={reload} />}
        {loading && <Loading what="the glossary" />}
        {data && (
          <>
            <div class="list-tools">
              <input
                type="search"
                value={search}
                aria-label="Search anomalies"
                placeholder="Search name, meaning, cause …"
                onInput={(e) => setSearch(e.currentTarget.value)}
              />
              <span class="quiet">{plural(shown.length, "anomaly", "anomalies")}</span>
            </div>
            <nav class="glossary-index" aria-label="All anomalies">
              {shown.map((a) => (
                <a key={a.name} class="mono" href={`#anomaly=${encodeURIComponent(a.name)}`}>
                  {a.name}
                </a>
              ))}
            </nav>
            {groups.map((group) => (
              <section key={group} aria-label={group}>
                <h2 class="group-title">{GROUPS[group] ?? group}</h2>
                {shown
                  .filter((a) => a.group === group)
                  .map((a) => (
                    <Entry key={a.name} entry={a} here={a.name === wanted} />
                  ))}
              </section>
            ))}
            {shown.length === 0 && <p>No anomaly matches. Take words out of the search.</p>}
          </>
        )}
      </div>
    </Frame>
  );
}

function Entry({ entry: a, here }: { entry: GlossaryEntry; here: boolean }) {
  return (
    <article class={here ? "entry entry-here" : "entry"} id={`a-${a.name}`} aria-labelledby={`t-${a.name}`}>
      <header>
        <h3 id={`t-${a.name}`}>
          <span class="mono">{a.name}</span> <span class="anomaly-title">{a.title}</span>
        </h3>
        <Link href={`/?anomaly=${encodeURIComponent(a.name)}`} class="entry-runs">
          Runs with it
        </Link>
      </header>
      <Explained entry={a} whole />
      {a.example && (
        <details>
          <summary>
            A history that shows it: <span class="mono">{a.example.file}</span>
          </summary>
          <pre class="source" tabIndex={0} aria-label={`The history ${a.example.file}`}>
            {a.example.jsonl}
          </pre>
          <CopyButton text={() => a.example?.jsonl ?? ""}>Copy the history</CopyButton>
        </details>
      )}
    </article>
  );
}
