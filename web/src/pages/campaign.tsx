// One campaign: how far it is, what is running now, what each run gave.

import { useEffect } from "preact/hooks";
import { eventsUrl, runPath, service } from "../api/client";
import type { Campaign, CampaignRun } from "../api/types";
import { CopyButton, Link, Loading, Problem, Section, VerdictBadge, When } from "../components/basics";
import { ProgressBar, StateBadge } from "../components/campaign-state";
import { Frame } from "../components/frame";
import { Live } from "../components/live";
import { estimateText, Interval } from "../components/trend";
import { may } from "../lib/session";
import { useEvents } from "../lib/use-events";
import { useAction, useFetch } from "../lib/use-fetch";

const OPEN = new Set(["queued", "running", "paused"]);

export function CampaignPage({ id }: { id: string }) {
  const { data, error, loading, reload } = useFetch(id, (s) => service.campaign(id, s), 4000);
  const name = data?.name ?? id;
  // While a run is under way its own panel listens, and one connection is enough.
  const listens = data !== null && OPEN.has(data.state) && underWay(data) === undefined;
  useEvents(listens ? eventsUrl(null) : null, { campaign: reload, state: reload });
  useEffect(() => {
    document.title = `${name} · Campaign · Perjury`;
  }, [name]);
  const crumbs = (
    <>
      <Link href="/campaigns">Campaigns</Link>
      <span aria-hidden="true"> / </span>
      <span aria-current="page">{name}</span>
    </>
  );
  return (
    <Frame crumbs={crumbs}>
      {error && (
        <div class="empty">
          <Problem error={error} retry={reload} />
          <p>
            <Link href="/campaigns">To the list of campaigns</Link>
          </p>
        </div>
      )}
      {data === null && loading && <Loading what="the campaign" />}
      {data && <Whole campaign={data} reload={reload} />}
    </Frame>
  );
}

const underWay = (c: Campaign): CampaignRun | undefined => c.runs?.find((r) => r.state === "running" && r.run !== null);

function Whole({ campaign: c, reload }: { campaign: Campaign; reload: () => void }) {
  const runs = c.runs ?? [];
  const now = underWay(c);
  return (
    <div class="report">
      <header class="hero">
        <h1 class="hero-line" data-testid="campaign">
          <span class="hero-verdict">
            <StateBadge state={c.state} />
          </span>
          <span class="hero-lead">{c.name}</span>
        </h1>
        <p class="hero-meta">
          Created <When at={c.created} both /> · <span class="mono">{c.id}</span>
        </p>
        <div class="campaign-progress">
          <ProgressBar campaign={c} />
          {c.estimate && (
            <p>
              <Interval of={c.estimate} /> {estimateText(c.estimate)}
            </p>
          )}
        </div>
        <Steering campaign={c} reload={reload} />
      </header>
      {now?.run && (
        <Section id="live" title="Running now">
          <Live key={now.run} id={now.run} link ended={reload} />
        </Section>
      )}
      <Section id="runs" title="Runs">
        {runs.length === 0 ? <p class="quiet">The runs are being worked out.</p> : <Runs runs={runs} />}
      </Section>
      {c.toml !== undefined && c.toml !== "" && <Plan toml={c.toml} name={c.name} />}
    </div>
  );
}

const WORDS = { pause: "Pause", resume: "Resume", cancel: "Cancel" } as const;

/** What the state of a campaign allows to ask for. */
function asksOf(state: string): (keyof typeof WORDS)[] {
  if (state === "running" || state === "queued") return ["pause", "cancel"];
  if (state === "paused") return ["resume", "cancel"];
  return state === "interrupted" ? ["resume"] : [];
}

function Steering({ campaign, reload }: { campaign: Campaign; reload: () => void }) {
  const asks = asksOf(campaign.state);
  if (asks.length === 0 || !may("run")) return null;
  return (
    <div class="take-tools">
      {asks.map((what) => (
        <Steer key={what} id={campaign.id} what={what} done={reload} />
      ))}
    </div>
  );
}

function Steer({ id, what, done }: { id: string; what: keyof typeof WORDS; done: () => void }) {
  const act = useAction(async () => {
    await service.steer(id, what);
    done();
  });
  const note = {
    pause: "The run that is under way ends first; no other begins.",
    resume: "The next run of the queue begins.",
    cancel: "Runs that have not begun are dropped. What was recorded stays.",
  }[what];
  return (
    <>
      <button type="button" class="button" disabled={act.busy} onClick={act.run} title={note}>
        {WORDS[what]}
      </button>
      {act.error && <Problem error={act.error} />}
    </>
  );
}

function Runs({ runs }: { runs: CampaignRun[] }) {
  return (
    <div class="scroll">
      <table class="campaign-runs">
        <thead>
          <tr>
            <th scope="col" class="number">
              No.
            </th>
            <th scope="col">Verdict</th>
            <th scope="col">Run</th>
            <th scope="col">Settings</th>
            <th scope="col" class="number">
              Seed
            </th>
          </tr>
        </thead>
        <tbody>
          {runs.map((r) => (
            <tr key={r.index} data-testid="campaign-run">
              <td class="number">{r.index + 1}</td>
              <td>
                {r.state === "done" ? (
                  <VerdictBadge verdict={r.verdict} status="complete" />
                ) : (
                  <>
                    <StateBadge state={r.state} />
                    {r.verdict !== null && <VerdictBadge verdict={r.verdict} />}
                  </>
                )}
              </td>
              <td>{r.run === null ? <span class="quiet">not begun</span> : <RunLink id={r.run} />}</td>
              <td>
                {r.summary ?? ""}
                {r.problem && <span class="run-line lost-line">{r.problem}</span>}
                {r.earlier && r.earlier.length > 0 && (
                  <span class="run-line">
                    cut short before: {r.earlier.map((id) => [<RunLink key={id} id={id} />, " "])}
                  </span>
                )}
              </td>
              <td class="number mono">{r.seed === null ? "" : String(r.seed)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const RunLink = ({ id }: { id: string }) => <Link href={`/runs/${runPath(id)}`}>{id}</Link>;

function Plan({ toml, name }: { toml: string; name: string }) {
  return (
    <Section id="plan" title="Plan">
      <details>
        <summary>The plan as it was given</summary>
        <pre class="source" tabIndex={0} aria-label="Plan">
          {toml}
        </pre>
      </details>
      <div class="take-tools">
        <CopyButton text={() => toml}>Copy the plan</CopyButton>
        {may("run") && (
          <Link class="button" href={`/campaigns/new?from=${encodeURIComponent(name)}`} onClick={() => keepDraft(toml)}>
            Use it for a new campaign
          </Link>
        )}
      </div>
    </Section>
  );
}

/** Hands a plan to the editor. */
export function keepDraft(toml: string): void {
  try {
    sessionStorage.setItem("perjury-plan", toml);
  } catch {
    // Without storage the editor begins empty, and the plan can be copied.
  }
}
