// All campaigns, newest first.

import { useEffect, useState } from "preact/hooks";
import { eventsUrl, service } from "../api/client";
import type { Campaign } from "../api/types";
import { Link, Loading, Problem, When } from "../components/basics";
import { ProgressBar, StateBadge } from "../components/campaign-state";
import { Frame } from "../components/frame";
import { Interval } from "../components/trend";
import { integer, plural } from "../lib/format";
import { may } from "../lib/session";
import { useEvents } from "../lib/use-events";
import { useFetch } from "../lib/use-fetch";

const PAGE = 50;

export function CampaignsPage() {
  const [page, setPage] = useState(0);
  const { data, error, loading, reload } = useFetch(
    `campaigns ${page}`,
    (s) => service.campaigns({ limit: PAGE, offset: page * PAGE }, s),
    15_000,
  );
  useEvents(eventsUrl(null), { campaign: reload });
  useEffect(() => {
    document.title = "Campaigns · Perjury";
  }, []);
  return (
    <Frame>
      <div class="list-page">
        <div class="page-head">
          <h1 class="page-title">Campaigns</h1>
          {may("run") && (
            <Link class="button primary" href="/campaigns/new">
              New campaign
            </Link>
          )}
        </div>
        {error && <Problem error={error} retry={reload} />}
        {data === null && loading && <Loading what="the campaigns" />}
        {data !== null && data.total === 0 && <None />}
        {data !== null && data.items.length > 0 && <Table campaigns={data.items} />}
        {data !== null && data.total > PAGE && (
          <nav class="pages" aria-label="Pages of campaigns">
            <button type="button" class="button" disabled={page === 0} onClick={() => setPage(page - 1)}>
              Newer
            </button>
            <span>{plural(data.total, "campaign")}</span>
            <button
              type="button"
              class="button"
              disabled={(page + 1) * PAGE >= data.total}
              onClick={() => setPage(page + 1)}
            >
              Older
            </button>
          </nav>
        )}
      </div>
    </Frame>
  );
}

function None() {
  return (
    <div class="empty">
      <h2>No campaign yet</h2>
      <p>
        A campaign runs a plan: every combination of clusters, versions, workloads, faults, client settings and seeds
        that it names, one run after the other, each judged by itself.
      </p>
      {may("run") ? (
        <p>
          <Link href="/campaigns/new">Choose or write a plan</Link>; it is checked while you type.
        </p>
      ) : (
        <p>
          Starting one needs a token with the role run or admin: <code>perjury token create --role run</code>.
        </p>
      )}
      <p>From a terminal:</p>
      <pre>
        <code>perjury campaign run plan.toml --dry-run{"\n"}perjury campaign run plan.toml</code>
      </pre>
    </div>
  );
}

function Table({ campaigns }: { campaigns: Campaign[] }) {
  return (
    <div class="scroll">
      <table class="campaigns">
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Campaign</th>
            <th scope="col">Runs</th>
            <th scope="col">Violations, share with interval</th>
            <th scope="col">Created</th>
          </tr>
        </thead>
        <tbody>
          {campaigns.map((c) => (
            <tr key={c.id}>
              <td>
                <StateBadge state={c.state} />
              </td>
              <th scope="row">
                <Link class="run-name" href={`/campaigns/${encodeURIComponent(c.id)}`}>
                  {c.name}
                </Link>{" "}
                <span class="run-time">{c.id}</span>
              </th>
              <td>
                <ProgressBar campaign={c} />
              </td>
              <td class="nowrap">
                {c.estimate && c.estimate.judged > 0 ? (
                  <>
                    {integer(c.estimate.violations)} of {integer(c.estimate.judged)}{" "}
                    <Interval of={c.estimate} width={110} />
                  </>
                ) : (
                  <span class="quiet">–</span>
                )}
              </td>
              <td class="nowrap">
                <When at={c.created} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
