import { describe, expect, it } from "vitest";
import { routeOf } from "./routes";

describe("pages by their path", () => {
  it("knows every page", () => {
    expect(routeOf("/")).toEqual({ page: "list" });
    expect(routeOf("/runs/a%20b/20261123T120431.207Z")).toEqual({ page: "report", run: "a b/20261123T120431.207Z" });
    expect(routeOf("/campaigns/")).toEqual({ page: "campaigns" });
    expect(routeOf("/campaigns/new")).toEqual({ page: "plan" });
    expect(routeOf("/campaigns/7")).toEqual({ page: "campaign", id: "7" });
    expect(routeOf("/compare")).toEqual({ page: "compare" });
    expect(routeOf("/calibration")).toEqual({ page: "calibration" });
    expect(routeOf("/glossary")).toEqual({ page: "glossary" });
    expect(routeOf("/login")).toEqual({ page: "login" });
    expect(routeOf("/share/a~b~1~0")).toEqual({ page: "share" });
  });
  it("knows no others", () => {
    expect(routeOf("/campaigns/7/8")).toEqual({ page: "none" });
    expect(routeOf("/campaigns/%E0%A4%A")).toEqual({ page: "none" });
    expect(routeOf("/campaigns/..%2f..%2fetc")).toEqual({ page: "none" });
    expect(routeOf("/runs/a")).toEqual({ page: "none" });
  });
});
