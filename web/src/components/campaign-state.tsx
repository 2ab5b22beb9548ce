// How far a campaign is, as a word, as a bar and as numbers.

import type { Campaign } from "../api/types";
import { plural } from "../lib/format";
import { Shape } from "./basics";

const KINDS: Record<string, string> = {
  queued: "none",
  running: "running",
  paused: "unknown",
  cancelled: "none",
  done: "valid",
  interrupted: "unknown",
};

export function StateBadge({ state }: { state: string }) {
  const kind = KINDS[state] ?? "none";
  return (
    <span class={`verdict state-badge ${state === "done" ? "verdict-none" : `verdict-${kind}`}`}>
      <Shape kind={kind} />
      <span>{state}</span>
    </span>
  );
}

const PARTS = ["invalid", "unknown", "valid", "running", "interrupted", "cancelled", "queued"] as const;
type Part = (typeof PARTS)[number];

/** How many runs stand where: finished ones by verdict, the others by state. */
export function parts(campaign: Campaign): [Part, number][] {
  const counts = new Map<Part, number>();
  const add = (part: Part, n = 1) => counts.set(part, (counts.get(part) ?? 0) + n);
  if (campaign.runs !== undefined) {
    for (const run of campaign.runs) {
      if (run.state !== "done") add(run.state);
      else add(run.verdict === "valid" || run.verdict === "invalid" ? run.verdict : "unknown");
    }
  } else {
    for (const part of PARTS) {
      const n = campaign.counts?.[part];
      if (n !== undefined && n > 0) add(part, n);
    }
  }
  return PARTS.flatMap((part): [Part, number][] => {
    const n = counts.get(part) ?? 0;
    return n > 0 ? [[part, n]] : [];
  });
}

export function ProgressBar({ campaign }: { campaign: Campaign }) {
  const all = parts(campaign);
  const total = all.reduce((sum, [, n]) => sum + n, 0);
  if (total === 0) return <span class="quiet">no runs</span>;
  const text = `${plural(total, "run")}: ${all.map(([part, n]) => `${n} ${part}`).join(", ")}`;
  let at = 0;
  return (
    <span class="progress">
      <svg viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label={text}>
        <title>{text}</title>
        {all.map(([part, n]) => {
          const x = at;
          at += (100 * n) / total;
          return (
            <rect key={part} class={`part-${part}`} x={x} width={Math.max(0.6, (100 * n) / total - 0.5)} height="8" />
          );
        })}
      </svg>
      <span class="progress-text">{all.map(([part, n]) => `${n} ${part}`).join(" · ")}</span>
    </span>
  );
}
