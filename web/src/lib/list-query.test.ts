import { describe, expect, it } from "vitest";
import { hidden, listParams, picked, readQuery, writeQuery } from "./list-query";

describe("the address of a list", () => {
  it("comes back from what was written", () => {
    const query = { ...readQuery(""), q: "a&b", anomaly: "lost-write", page: 2, pick: ["x/1", "y/2"] };
    expect(writeQuery(query)).toBe("?q=a%26b&anomaly=lost-write&page=2&pick=x%2F1&pick=y%2F2");
    expect(readQuery(writeQuery(query))).toEqual(query);
    expect(writeQuery(readQuery("?page=-3&pick="))).toBe("?pick=");
  });
  it("takes nonsense as the first page", () => {
    expect(readQuery("?page=x").page).toBe(0);
    expect(readQuery("?pick=a&pick=b&pick=c").pick).toEqual(["a", "b"]);
  });
});

describe("what the API is asked", () => {
  it("counts pages as offsets and days as moments", () => {
    const params = listParams({ ...readQuery("?since=2026-11-01&until=2026-11-02&page=1") });
    expect(params).toMatchObject({
      since: "2026-11-01T00:00:00.000Z",
      until: "2026-11-02T23:59:59.999Z",
      limit: 50,
      offset: 50,
    });
  });
  it("tells how many filters are folded away", () => {
    expect(hidden(readQuery("?q=x&verdict=invalid"))).toBe(0);
    expect(hidden(readQuery("?anomaly=G1a&since=2026-11-01"))).toBe(2);
  });
});

it("keeps two runs for a comparison", () => {
  expect(picked([], "a")).toEqual(["a"]);
  expect(picked(["a", "b"], "c")).toEqual(["b", "c"]);
  expect(picked(["a", "b"], "a")).toEqual(["b"]);
});
