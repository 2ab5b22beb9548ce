import { describe, expect, it } from "vitest";
import { NOWHERE, readPlace, runOf, writePlace } from "./hash";

describe("the place in a link", () => {
  it("reads what it writes", () => {
    const place = {
      op: 123,
      anomaly: { name: "G1c-process", example: 4 },
      window: { from: 12_000_000_000, to: 14_500_000_000 },
      search: "key:orders-2 type:info",
    };
    expect(readPlace(writePlace(place))).toEqual(place);
    expect(writePlace(NOWHERE)).toBe("");
  });
  it("reads the short forms that tickets use", () => {
    expect(readPlace("#op=123").op).toBe(123);
    expect(readPlace("#anomaly=lost-write/0").anomaly).toEqual({ name: "lost-write", example: 0 });
    expect(readPlace("#anomaly=lost-write").anomaly).toEqual({ name: "lost-write", example: 0 });
  });
  it("passes over what makes no sense", () => {
    for (const odd of [
      "",
      "#",
      "#op=x",
      "#op=-1",
      "#op=1e9",
      "#from=5&to=5",
      "#from=9&to=1",
      "#from=1",
      "#x=y",
      "#%",
    ]) {
      expect(readPlace(odd)).toEqual(NOWHERE);
    }
  });
});

describe("the path of a run", () => {
  it("names the run", () => {
    expect(runOf("/runs/leader-kill/20261123T120431.207Z")).toBe("leader-kill/20261123T120431.207Z");
    expect(runOf("/runs/a%20b/c/")).toBe("a b/c");
  });
  it("is told from other paths", () => {
    for (const other of ["/", "/runs", "/runs/a", "/runs/a/b/c", "/runs/%/x", "/assets/a/b"])
      expect(runOf(other)).toBeNull();
  });
  it("never leads to another route of the API", () => {
    for (const other of ["/runs/..%2f../x", "/runs/%2e%2e/x", "/runs/a/..%5cx", "/runs/a/%2e", "/runs/a/b%2fc"])
      expect(runOf(other)).toBeNull();
  });
});
