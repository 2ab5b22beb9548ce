import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiError, api, fileUrl, listRuns, parseJson, runPath } from "./client";

afterEach(() => vi.unstubAllGlobals());

function answer(status: number, body: string) {
  const fetch = vi.fn(async () => new Response(body, { status }));
  vi.stubGlobal("fetch", fetch);
  return fetch;
}

describe("asking the API", () => {
  it("leaves empty parameters out and escapes the rest", async () => {
    const fetch = answer(200, '{"runs":[]}');
    await listRuns({ q: "a&b", verdict: "", limit: 5, offset: null });
    expect(fetch.mock.calls[0]).toEqual(["/api/v1/runs?q=a%26b&limit=5", { signal: null }]);
    expect(runPath("a b/c?d")).toBe("a%20b/c%3Fd");
    expect(fileUrl("a/b", "nodes/1/x#.log")).toBe("/api/v1/runs/a/b/files/nodes/1/x%23.log");
  });
  it("turns error answers into errors with a hint", async () => {
    answer(404, '{"error":{"code":"not-found","message":"there is no run a/b","hint":"See the list."}}');
    const error = await api.detail("a/b").catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 404, code: "not-found", hint: "See the list." });
  });
  it("says so when the answer is no JSON, or when nobody answers", async () => {
    answer(502, "<html>");
    await expect(api.detail("a/b")).rejects.toMatchObject({ code: "not-json", status: 502 });
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("refused")));
    await expect(api.detail("a/b")).rejects.toMatchObject({ code: "offline" });
  });
});

describe("reading JSON", () => {
  it("reads what is plain as it is", () => {
    expect(parseJson('{"a":[1,2.5,"x",null,true]}')).toEqual({ a: [1, 2.5, "x", null, true] });
  });
  it("keeps integers that doubles cannot hold, where the engine tells their source", () => {
    const { seed, t, text } = parseJson(
      '{"seed":18446744073709551615,"t":1000000000000000,"text":"12345678901234567"}',
    ) as Record<string, unknown>;
    // Engines without source text access give the nearest double.
    expect([18446744073709551615, "18446744073709551615"]).toContain(seed);
    expect(t).toBe(1e15);
    expect(text).toBe("12345678901234567");
  });
});
