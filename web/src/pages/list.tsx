// All runs, newest first: searched, filtered, grouped by name, two of them compared.

import { useEffect, useState } from "preact/hooks";
import { listRuns } from "../api/client";
import type { RunList } from "../api/types";
import { Loading, Problem } from "../components/basics";
import { EmptyStore } from "../components/empty-store";
import { Frame } from "../components/frame";
import { Groups, Pages, Runs } from "../components/run-table";
import { Filters } from "../components/run-filters";
import { RetentionPanel } from "../components/retention";
import { TrendPanel } from "../components/trend";
import { type ListQuery, listParams, picked, readQuery, writeQuery } from "../lib/list-query";
import { session } from "../lib/session";
import { asked, go } from "../lib/state";
import { useFetch } from "../lib/use-fetch";

export function ListPage() {
  const [query, setQuery] = useState(() => readQuery(location.search));
  const change = (next: Partial<ListQuery>) => setQuery((q) => ({ ...q, page: 0, ...next }));
  const address = writeQuery(query);
  useEffect(() => {
    document.title = "Runs · Perjury";
    history.replaceState(null, "", `/${address}`);
  }, [address]);
  // A link or a step back may lead to another search of this same page.
  useEffect(() => setQuery(readQuery(location.search)), [asked.value]);
  const params = listParams(query);
  const { data, error, loading, reload } = useFetch(JSON.stringify(params), (s) => listRuns(params, s), 5000);
  const [last, setLast] = useState<RunList | null>(null);
  useEffect(() => {
    if (data) setLast(data);
  }, [data]);
  const shown = data ?? last;
  const grouped = query.group === "name";
  return (
    <Frame>
      <div class="list-page">
        <h1 class="visually-hidden">Runs</h1>
        {error && <Problem error={error} retry={reload} />}
        {shown === null && loading && <Loading what="the list of runs" />}
        {shown !== null && shown.stored === 0 && <EmptyStore />}
        {shown !== null && shown.stored > 0 && (
          <>
            <Filters list={shown} query={query} change={change} />
            {query.name !== "" && <TrendPanel name={query.name} />}
            {grouped ? (
              <Groups list={shown} choose={(name) => change({ name, group: "" })} />
            ) : (
              <>
                <Compare pick={query.pick} clear={() => change({ pick: [], page: query.page })} />
                <Runs
                  list={shown}
                  busy={loading && data === null}
                  pick={query.pick}
                  toggle={(id) => change({ pick: picked(query.pick, id), page: query.page })}
                />
                <Pages total={shown.total} page={query.page} turn={(page) => change({ page })} />
              </>
            )}
            {!session.value?.only && <RetentionPanel changed={reload} />}
          </>
        )}
      </div>
    </Frame>
  );
}

/** What was chosen for a comparison, and the way there. */
function Compare({ pick, clear }: { pick: string[]; clear: () => void }) {
  const [a, b] = pick;
  if (a === undefined) return null;
  const href = `/compare?${new URLSearchParams({ a, b: b ?? "" }).toString()}`;
  return (
    <div class="compare-bar" role="region" aria-label="Comparison">
      <span>
        Chosen: <span class="mono">{a}</span>
        {b === undefined ? (
          ". Choose a second run to compare them."
        ) : (
          <>
            {" "}
            and <span class="mono">{b}</span>
          </>
        )}
      </span>
      <button type="button" class="button primary" disabled={b === undefined} onClick={() => go(href)}>
        Compare
      </button>
      <button type="button" class="button" onClick={clear}>
        Clear
      </button>
    </div>
  );
}
