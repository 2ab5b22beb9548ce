import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { RunDetail, Timeline } from "../api/types";
import type { Report } from "../lib/report";

/** The run that a report page shows. */
export interface RunInfo {
  id: string;
  detail: RunDetail;
  report: Report | null;
  /** Wall-clock start, RFC 3339. */
  started: string | null;
  /** The whole run; null until it is loaded, or when there is no readable history. */
  timeline: Timeline | null;
}

export const RunContext = createContext<RunInfo | null>(null);

export function useRun(): RunInfo {
  const run = useContext(RunContext);
  if (run === null) throw new Error("used outside a report page");
  return run;
}
