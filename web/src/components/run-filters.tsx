// The search and the filters over the list of runs.

import { useState } from "preact/hooks";
import type { RunList } from "../api/types";
import { integer, plural } from "../lib/format";
import { FIELDS, hidden, type ListQuery } from "../lib/list-query";
import { may } from "../lib/session";
import { Link, VerdictBadge } from "./basics";
import { Upload } from "./upload";

const VERDICTS = ["invalid", "unknown", "valid", "none"] as const;
const STATUSES = ["complete", "running", "interrupted", "unchecked", "unreadable"];
const SORTS: [string, string][] = [
  ["", "newest first"],
  ["started", "oldest first"],
  ["-violations", "most violations first"],
  ["-operations", "most operations first"],
  ["name", "by name"],
];

interface Props {
  list: RunList;
  query: ListQuery;
  change: (next: Partial<ListQuery>) => void;
}

export function Filters({ list, query, change }: Props) {
  const [open, setOpen] = useState(hidden(query) > 0);
  const [uploading, setUploading] = useState(false);
  const chosen = new Set(query.verdict.split(",").filter((v) => v !== ""));
  const toggle = (v: string) => {
    if (!chosen.delete(v)) chosen.add(v);
    change({ verdict: [...chosen].join(",") });
  };
  const folded = hidden(query);
  return (
    <form role="search" class="filters" onSubmit={(e) => e.preventDefault()}>
      <div class="list-tools">
        <input
          type="search"
          value={query.q}
          placeholder="Search name, anomaly, bug, nemesis, seed …"
          aria-label="Search runs"
          onInput={(e) => change({ q: e.currentTarget.value })}
        />
        <div class="chips" role="group" aria-label="Show only these verdicts">
          {VERDICTS.map((v) => (
            <button type="button" key={v} class="chip" aria-pressed={chosen.has(v)} onClick={() => toggle(v)}>
              <VerdictBadge verdict={v === "none" ? null : v} />
              <span class="chip-count">{integer(list.verdicts[v])}</span>
            </button>
          ))}
        </div>
      </div>
      <div class="chips list-second">
        <button
          type="button"
          class="chip"
          aria-expanded={open}
          aria-controls="more-filters"
          onClick={() => setOpen(!open)}
        >
          More filters{folded > 0 && <b> {folded}</b>}
        </button>
        <button
          type="button"
          class="chip"
          aria-pressed={query.group === "name"}
          onClick={() => change({ group: query.group === "name" ? "" : "name" })}
        >
          Group by name
        </button>
        {(folded > 0 || query.q !== "" || query.verdict !== "") && (
          <button
            type="button"
            class="chip"
            onClick={() =>
              change(Object.fromEntries(FIELDS.filter((f) => f !== "group" && f !== "sort").map((f) => [f, ""])))
            }
          >
            Clear all
          </button>
        )}
        <span class="quiet">
          {list.total === list.stored
            ? plural(list.stored, "run")
            : `${integer(list.total)} of ${plural(list.stored, "run")}`}
        </span>
        {may("run") && (
          <span class="list-actions">
            <button type="button" class="button" aria-expanded={uploading} onClick={() => setUploading(!uploading)}>
              Judge a history
            </button>
            <Link class="button primary" href="/campaigns/new">
              New campaign
            </Link>
          </span>
        )}
      </div>
      {open && <More list={list} query={query} change={change} />}
      {uploading && <Upload />}
    </form>
  );
}

/** What the runs that are shown have, as suggestions. */
function known(list: RunList, field: "name" | "workload" | "cluster" | "nemesis" | "anomaly"): string[] {
  const values = list.runs.flatMap((r) =>
    field === "anomaly" ? Object.keys(r.anomalies) : field === "nemesis" ? r.nemesis : [r[field] ?? ""],
  );
  return [...new Set(values)].filter((v) => v !== "").sort();
}

interface TypedProps {
  type: "text" | "date";
  list?: string;
  value: string;
  commit: (text: string) => void;
}

/** A field that keeps what is being typed into it when the list around it is drawn anew. */
function Typed({ value, commit, ...rest }: TypedProps) {
  const [draft, setDraft] = useState<string | null>(null);
  return (
    <input
      {...rest}
      value={draft ?? value}
      onInput={(e) => setDraft(e.currentTarget.value)}
      onChange={(e) => {
        setDraft(null);
        commit(e.currentTarget.value);
      }}
    />
  );
}

function More({ list, query, change }: Props) {
  return (
    <div class="more-filters" id="more-filters">
      <label>
        Status
        <select value={query.status} onChange={(e) => change({ status: e.currentTarget.value })}>
          <option value="">any</option>
          {STATUSES.map((s) => (
            <option key={s}>{s}</option>
          ))}
        </select>
      </label>
      {(["name", "workload", "cluster", "nemesis", "anomaly"] as const).map((field) => (
        <label key={field}>
          {field[0]?.toUpperCase()}
          {field.slice(1)}
          <Typed
            type="text"
            list={`known-${field}`}
            value={query[field]}
            commit={(text) => change({ [field]: text })}
          />
          <datalist id={`known-${field}`}>
            {known(list, field).map((v) => (
              <option key={v} value={v} />
            ))}
          </datalist>
        </label>
      ))}
      {(["since", "until"] as const).map((field) => (
        <label key={field}>
          {field === "since" ? "From day" : "To day"}
          <Typed type="date" value={query[field]} commit={(day) => change({ [field]: day })} />
        </label>
      ))}
      <label>
        Order
        <select value={query.sort} onChange={(e) => change({ sort: e.currentTarget.value })}>
          {SORTS.map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}
