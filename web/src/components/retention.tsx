// What the service keeps, and what would go next: looked at before it happens.

import { useState } from "preact/hooks";
import { service } from "../api/client";
import type { KeepRules, Retention } from "../api/types";
import { plural } from "../lib/format";
import { may } from "../lib/session";
import { useAction, useFetch } from "../lib/use-fetch";
import { Link, Loading, Problem } from "./basics";

/** "runs of the last 30 days, and the newest 50 of each name". */
export function kept({ days, newest }: KeepRules, each: string): string {
  const parts = [
    days === undefined ? null : `runs of the last ${plural(days, "day")}`,
    newest === undefined ? null : `the newest ${newest}${each}`,
  ].filter((p) => p !== null);
  return parts.length === 0 ? "all runs" : parts.join(", and ");
}

export function RetentionPanel({ changed }: { changed: () => void }) {
  const [shown, setShown] = useState(false);
  const { data, error, reload } = useFetch(shown ? "retention" : null, (s) => service.retention(s));
  const again = () => {
    reload();
    changed();
  };
  return (
    <details class="data-table retention" onToggle={(e) => setShown(e.currentTarget.open)}>
      <summary>What is kept</summary>
      {error && <Problem error={error} retry={reload} />}
      {shown && data === null && error === null && <Loading what="the rules" />}
      {data && <Rules data={data} again={again} />}
    </details>
  );
}

function Rules({ data, again }: { data: Retention; again: () => void }) {
  const [sure, setSure] = useState(false);
  const prune = useAction(async () => {
    await service.prune();
    setSure(false);
    again();
  });
  const plans = Object.entries(data.plans);
  return (
    <>
      <p>
        {data.active
          ? `The service keeps ${kept(data.rules, " of each name")}. `
          : "Nothing is deleted. `perjury serve --keep-days 30` or `--keep-newest 50` changes that, and so does [keep] in a plan. "}
        A run that broke a promise, that is pinned, under way or not judged, always stays; so do the runs of a campaign
        that is not over. A run that was deleted by these rules still counts in its trend.
      </p>
      {plans.length > 0 && (
        <ul>
          {plans.map(([name, rules]) => (
            <li key={name}>
              of <span class="mono">{name}</span>: {kept(rules, "")}
            </li>
          ))}
        </ul>
      )}
      {data.active && (
        <p role="status">
          {data.total === 0
            ? "Nothing would go now."
            : `${plural(data.total, "run")} would go at the next round, which comes every hour.`}
          {data.last !== null && ` The last round took ${plural(data.last.gone, "run")}.`}
        </p>
      )}
      {data.would_go.length > 0 && (
        <ul class="scroll would-go" tabIndex={0} aria-label="Runs that would go">
          {data.would_go.map((id) => (
            <li key={id}>
              <Link class="mono" href={`/runs/${id}`}>
                {id}
              </Link>
            </li>
          ))}
        </ul>
      )}
      {data.total > 0 && may("admin") && (
        <p>
          {sure ? (
            <>
              <button type="button" class="button danger" disabled={prune.busy} onClick={prune.run}>
                Delete {plural(data.total, "run")} for good
              </button>{" "}
              <button type="button" class="button" onClick={() => setSure(false)}>
                Keep them for now
              </button>
            </>
          ) : (
            <button type="button" class="button" onClick={() => setSure(true)}>
              Delete them now …
            </button>
          )}
        </p>
      )}
      {prune.error && <Problem error={prune.error} />}
    </>
  );
}
