// How far a campaign is.

import type { Campaign } from "../api/types";

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
    const n = (name: string) => campaign.counts?.[name] ?? 0;
    for (const part of PARTS) add(part, n(part));
    // A run that was cut short may have a verdict too, and one that is done may have none: each counts once.
    const judged = n("invalid") + n("unknown") + n("valid");
    add("interrupted", -Math.min(n("interrupted"), Math.max(0, judged - n("done"))));
    add("unknown", Math.max(0, n("done") - judged));
  }
  return PARTS.flatMap((part): [Part, number][] => {
    const n = counts.get(part) ?? 0;
    return n > 0 ? [[part, n]] : [];
  });
}
