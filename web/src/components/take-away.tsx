// What can be carried into a ticket or to another machine.

import { useState } from "preact/hooks";
import { alone, api, evidenceUrl, fileUrl, oneFileUrl, service } from "../api/client";
import type { FileEntry } from "../api/types";
import { bytes } from "../lib/format";
import { rerun } from "../lib/kcat";
import { ticket } from "../lib/markdown";
import { may, session } from "../lib/session";
import { go, permalink, place } from "../lib/state";
import { useAction } from "../lib/use-fetch";
import { CopyButton, Link, Problem, Section } from "./basics";
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
  const own = () =>
    report === null ? "" : ticket(report, { summary: detail.summary, link: permalink({}), rerun: again });
  // The server's text names the bundle and its hashes; without a server the page writes its own.
  const github = () => api.markdown(id, "github").catch(own);
  return (
    <Section id="take-away" title="Take it away">
      {!alone && report && <Evidence />}
      <div class="take-tools">
        {report && <CopyButton text={github}>Copy as Markdown for GitHub</CopyButton>}
        {report && <CopyButton text={() => api.markdown(id, "jira")}>Copy for Jira</CopyButton>}
        <CopyButton text={() => permalink(place.value)}>Copy a link to this view</CopyButton>
        {!alone && !session.value?.only && (
          <Link class="button" href={`/?${new URLSearchParams({ name: detail.summary.name, pick: id }).toString()}`}>
            Compare with another run
          </Link>
        )}
      </div>
      {!alone && may("run") && <Acts />}
      {!alone && <Files id={id} files={detail.files} />}
      {alone && <Seal />}
      {!alone && <Command what="Check it again" line={`perjury check ${report ? "" : "--save "}${detail.path}`} />}
      <Command what="Start the same plan again" line={`perjury replay ${alone ? "BUNDLE.zip" : detail.path}`} />
      {again !== null && <Command what="Or, with the options spelt out" line={again} />}
    </Section>
  );
}

/** What a one-file report says of itself. */
function Seal() {
  const { manifest, signature } = api.seal ?? {};
  const text = (of: Record<string, unknown> | undefined, name: string) => {
    const value = of?.[name];
    return typeof value === "string" ? value : Array.isArray(value) ? value.join(", ") : "";
  };
  const rows = [
    ["made by", text(manifest, "tool")],
    ["replaced by pseudonyms", text(manifest, "redacted")],
    ["SHA-256 of the history", text(manifest, "history_sha256")],
    ["SHA-256 of this data", text(manifest, "data_sha256")],
    ["signed by the key", text(signature, "public_key")],
  ].filter(([, value]) => value !== "");
  return (
    <>
      <p>
        This file has the data of the run inside and asks no server. <code>perjury verify FILE.html</code> checks the
        hashes and judges the history again; what is written here proves nothing by itself.
      </p>
      <dl class="entry-facts">
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd class="mono hash">{value}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}

const REDACTIONS = ["values", "hosts", "keys"] as const;

/** The bundle and the one-file report, whole or for the anomaly that is open, redacted or not. */
function Evidence() {
  const { id } = useRun();
  const [hidden, setHidden] = useState<string[]>([]);
  const [only, setOnly] = useState(false);
  const open = place.value.anomaly;
  const params = { anomaly: only && open ? `${open.name}:${open.example + 1}` : null, redact: hidden.join() };
  const toggle = (what: string) =>
    setHidden(hidden.includes(what) ? hidden.filter((h) => h !== what) : [...hidden, what]);
  return (
    <div class="evidence">
      <div class="take-tools">
        <a class="button primary" href={evidenceUrl(id, params)} download>
          Download the evidence (zip)
        </a>
        <a class="button" href={oneFileUrl(id, params)} download={`${id.replace("/", "-")}.html`}>
          The report as one file (HTML)
        </a>
      </div>
      <fieldset>
        <legend>Replace by pseudonyms; the verdict stays</legend>
        {REDACTIONS.map((what) => (
          <label key={what}>
            <input type="checkbox" checked={hidden.includes(what)} onChange={() => toggle(what)} /> {what}
          </label>
        ))}
        {open && (
          <label>
            <input type="checkbox" checked={only} onChange={() => setOnly(!only)} /> only {open.name}, case{" "}
            {open.example + 1}
          </label>
        )}
      </fieldset>
      <p class="quiet">
        The zip holds the report, the shrunk and the full history, plan, seed, schedule, configuration, log slices and a
        manifest with hashes. <code>perjury verify FILE</code> proves it on any machine.
      </p>
    </div>
  );
}

const HOURS = 24 * 7;

/** What needs the server: starting the plan again, a link for others, deleting. */
function Acts() {
  const { id, detail } = useRun();
  const [url, setUrl] = useState<string | null>(null);
  const replay = useAction(async () => {
    const { campaign } = await service.replay(id);
    go(`/campaigns/${encodeURIComponent(campaign)}`);
  });
  const share = useAction(async () => setUrl((await service.share(id, HOURS)).url));
  const [pinned, setPinned] = useState(detail.pinned === true);
  const pin = useAction(async () => {
    await service.pin(id, !pinned);
    setPinned(!pinned);
  });
  const [sure, setSure] = useState(false);
  const violation = detail.summary.violations > 0;
  const remove = useAction(async () => {
    await service.remove(id, violation);
    go("/");
  });
  const absolute = url === null ? "" : new URL(url, location.href).href;
  return (
    <>
      <div class="take-tools">
        <button type="button" class="button" disabled={replay.busy} onClick={replay.run}>
          Run this plan again
        </button>
        <button
          type="button"
          class="button"
          aria-pressed={pinned}
          disabled={pin.busy}
          onClick={pin.run}
          title="A pinned run stays whatever the rules of retention say"
        >
          {pinned ? "Pinned: it stays" : "Pin this run"}
        </button>
        {may("admin") && (
          <button type="button" class="button" disabled={share.busy} onClick={share.run}>
            Make a read-only link for 7 days
          </button>
        )}
        {may("admin") && !sure && (
          <button type="button" class="button" onClick={() => setSure(true)}>
            Delete this run …
          </button>
        )}
        {sure && (
          <>
            <button type="button" class="button danger" disabled={remove.busy} onClick={remove.run}>
              {violation ? "Delete it, with the violation that it proves" : "Delete it for good"}
            </button>
            <button type="button" class="button" onClick={() => setSure(false)}>
              Keep it
            </button>
          </>
        )}
      </div>
      {[replay, pin, share, remove].map((act, i) => act.error && <Problem key={i} error={act.error} />)}
      {url !== null && <Command what="For whoever has it" line={absolute} />}
    </>
  );
}

function Files({ id, files }: { id: string; files: FileEntry[] }) {
  const top = files.filter((f) => !f.path.includes("/"));
  const node = files.filter((f) => f.path.includes("/"));
  return (
    <>
      <FileList id={id} files={top} />
      {node.length > 0 && (
        <details>
          <summary>{node.length} files of the nodes</summary>
          <FileList id={id} files={node} />
        </details>
      )}
    </>
  );
}

function FileList({ id, files }: { id: string; files: FileEntry[] }) {
  return (
    <ul class="files">
      {files.map((f) => (
        <li key={f.path}>
          <a href={fileUrl(id, f.path)} download>
            {f.path}
          </a>{" "}
          <span class="quiet">
            {bytes(f.bytes)}
            {WHAT[f.path] === undefined ? "" : ` · ${WHAT[f.path]}`}
          </span>
        </li>
      ))}
    </ul>
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
