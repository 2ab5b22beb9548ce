// Which page a path names.

import { partOf, runOf } from "./hash";

export type Route =
  | { page: "list" }
  | { page: "report"; run: string }
  | { page: "compare" }
  | { page: "campaigns" }
  | { page: "plan" }
  | { page: "campaign"; id: string }
  | { page: "calibration" }
  | { page: "glossary" }
  | { page: "login" }
  | { page: "share" }
  | { page: "none" };

export function routeOf(pathname: string): Route {
  const run = runOf(pathname);
  if (run !== null) return { page: "report", run };
  const path = pathname.replace(/\/+$/, "");
  if (path === "" || path === "/runs" || path === "/index.html") return { page: "list" };
  if (path === "/campaigns/new") return { page: "plan" };
  for (const page of ["compare", "campaigns", "calibration", "glossary", "login"] as const) {
    if (path === `/${page}`) return { page };
  }
  // A share link that is good never gets here: it leads to its run.
  if (path.startsWith("/share/")) return { page: "share" };
  const campaign = partOf(/^\/campaigns\/([^/]+)$/.exec(path)?.[1]);
  return campaign === null ? { page: "none" } : { page: "campaign", id: campaign };
}
