// Which page a path names.

import { runOf } from "./hash";

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
  const campaign = /^\/campaigns\/([^/]+)$/.exec(path)?.[1];
  try {
    return campaign === undefined ? { page: "none" } : { page: "campaign", id: decodeURIComponent(campaign) };
  } catch {
    return { page: "none" };
  }
}
