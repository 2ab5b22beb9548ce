// Writing a plan: checked while it is typed, resolved into its runs, then started as a campaign.

import { useEffect, useRef, useState } from "preact/hooks";
import { service } from "../api/client";
import type { JsonObject, NamedPlan, PlanCheck, PlanProblem } from "../api/types";
import { Link, Loading, Problem } from "../components/basics";
import { Frame } from "../components/frame";
import { Editor } from "../components/plan-editor";
import { Fields } from "../components/plan-fields";
import { plural } from "../lib/format";
import { may, session } from "../lib/session";
import { asked, go } from "../lib/state";
import { useAction, useFetch } from "../lib/use-fetch";

/** How long the typing pauses before the server is asked, ms. */
const PAUSE = 400;
/** How many runs of a plan are listed. */
const RUNS_SHOWN = 200;

function draft(): string {
  try {
    return sessionStorage.getItem("perjury-plan") ?? "";
  } catch {
    return "";
  }
}

function keep(toml: string): void {
  try {
    sessionStorage.setItem("perjury-plan", toml);
  } catch {
    // Without storage the draft lasts as long as the page.
  }
}

export function PlanPage() {
  const [toml, setToml] = useState(draft);
  const [name, setName] = useState(() => new URLSearchParams(asked.value).get("from") ?? "");
  const schema = useFetch("schema", (s) => service.planSchema(s));
  const named = useFetch("named", (s) => service.namedPlans(s));
  const plans = Array.isArray(named.data) ? named.data : (named.data?.items ?? []);
  const field = useRef<HTMLTextAreaElement>(null);
  const checked = useCheck(toml, schema.data);
  useEffect(() => {
    document.title = "New campaign · Perjury";
  }, []);
  useEffect(() => keep(toml), [toml]);
  useEffect(() => {
    // Nobody begins with an empty page: the first plan works as it is.
    if (toml === "" && plans[0]) take(plans[0]);
  }, [named.data]);
  const take = (plan: NamedPlan) => {
    setToml(plan.toml);
    setName(plan.name);
  };
  const insert = (line: string) => {
    const at = field.current?.selectionStart ?? toml.length;
    const begin = toml.lastIndexOf("\n", at - 1) + 1;
    setToml(`${toml.slice(0, begin)}${line}\n${toml.slice(begin)}`);
    field.current?.focus();
  };
  const start = useAction(async () => {
    const { id } = await service.start(toml, name.trim());
    go(`/campaigns/${encodeURIComponent(id)}`);
  });
  const crumbs = (
    <>
      <Link href="/campaigns">Campaigns</Link>
      <span aria-hidden="true"> / </span>
      <span aria-current="page">New campaign</span>
    </>
  );
  return (
    <Frame crumbs={crumbs}>
      <div class="list-page">
        <h1 class="page-title">New campaign</h1>
        <p class="page-lead">
          A plan names clusters, versions, workloads, faults, client settings, seeds and repeats; every combination
          becomes a run. Begin with one that works, change what you need, and look at its runs before you start.
        </p>
        {named.error && <Problem error={named.error} retry={named.reload} />}
        {named.loading && <Loading what="the plans" />}
        {plans.length > 0 && <Named plans={plans} take={take} current={toml} />}
        <div class="plan">
          <Editor toml={toml} change={setToml} problems={checked.problems} field={field} />
          <aside class="plan-side" aria-label="What this plan does">
            <label class="plan-name">
              Name of the campaign
              <input type="text" value={name} onInput={(e) => setName(e.currentTarget.value)} required />
            </label>
            {may("run") ? (
              <button
                type="button"
                class="button primary big"
                disabled={!checked.ready || start.busy || name.trim() === ""}
                onClick={start.run}
              >
                {start.busy ? "Starting …" : "Start the campaign"}
              </button>
            ) : (
              session.value !== null && (
                <p class="notice">Starting a campaign needs a token with the role run or admin.</p>
              )
            )}
            {start.error && <Problem error={start.error} />}
            <Resolved state={checked} />
          </aside>
        </div>
        {schema.error && <Problem error={schema.error} retry={schema.reload} />}
        {schema.data && <Fields schema={schema.data} insert={insert} />}
      </div>
    </Frame>
  );
}

function Named({ plans, take, current }: { plans: NamedPlan[]; take: (plan: NamedPlan) => void; current: string }) {
  return (
    <div class="named" role="group" aria-label="Plans to begin with">
      {plans.map((p) => (
        <button type="button" key={p.name} class="named-plan" aria-pressed={p.toml === current} onClick={() => take(p)}>
          <b>{p.name}</b>
          <span>{p.summary}</span>
        </button>
      ))}
    </div>
  );
}

interface Checked {
  problems: PlanProblem[];
  answer: PlanCheck | null;
  error: Parameters<typeof Problem>[0]["error"] | null;
  busy: boolean;
  /** Whether the server accepts exactly this text. */
  ready: boolean;
}

/** Checks here at once, and on the server when the typing pauses. */
function useCheck(toml: string, schema: JsonObject | null): Checked {
  const [local, setLocal] = useState<PlanProblem[]>([]);
  const [settled, setSettled] = useState(toml);
  useEffect(() => {
    let live = true;
    // The checker is a script of its own, fetched with this page alone.
    void import("../lib/plan/check").then(({ syntax, shape }) => {
      if (!live) return;
      const broken = toml.trim() === "" ? null : syntax(toml);
      setLocal(broken ? [broken] : schema === null || toml.trim() === "" ? [] : shape(toml, schema));
    });
    const timer = setTimeout(() => setSettled(toml), PAUSE);
    return () => {
      live = false;
      clearTimeout(timer);
    };
  }, [toml, schema]);
  const { data, error, loading } = useFetch(settled.trim() === "" ? null : settled, (s) =>
    service.validate(settled, s),
  );
  const current = settled === toml;
  const server = current && data !== null ? data.errors : [];
  const problems = server.length > 0 ? server : local;
  const busy = !current || loading;
  return { problems, answer: current ? data : null, error, busy, ready: current && !loading && data?.ok === true };
}

function Resolved({ state }: { state: Checked }) {
  const { answer, busy, error } = state;
  if (error) return <Problem error={error} />;
  if (answer === null || !answer.ok) {
    return (
      <p class="quiet" role="status">
        {busy ? "Checking …" : state.problems.length > 0 ? "The runs are listed once the plan has no errors." : ""}
      </p>
    );
  }
  const total = answer.total ?? answer.runs.length;
  return (
    <section aria-label="Runs of this plan">
      <p role="status" class="plan-ok" data-testid="plan-ok">
        <span class="yes">✓</span> {plural(total, "run")}, in this order:
      </p>
      <ol class="resolved">
        {answer.runs.slice(0, RUNS_SHOWN).map((r, i) => (
          <li key={i}>
            <span class="mono">{r.name}</span> {r.summary}
            {r.seed !== undefined && r.seed !== null && !r.summary.includes(`seed ${r.seed}`) && <> · seed {r.seed}</>}
          </li>
        ))}
      </ol>
      {total > RUNS_SHOWN && <p class="quiet">and {plural(total - RUNS_SHOWN, "more run")}.</p>}
    </section>
  );
}
