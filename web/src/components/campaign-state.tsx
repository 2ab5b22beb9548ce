// How far a campaign is, as a word, as a bar and as numbers.

import type { Campaign } from "../api/types";
import { parts } from "../lib/campaign";
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
