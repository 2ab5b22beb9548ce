import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiError, api, fileUrl, listRuns, parseJson, preparing, runPath } from "./client";

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

describe("an answer that is not there yet", () => {
  it("is asked for again, and the page is told how far it is", async () => {
    vi.useFakeTimers();
    const waits = '{"preparing":{"message":"being made","done_bytes":3,"bytes":9}}';
    const fetch = vi.fn(async () => new Response(waits, { status: 202 }));
    vi.stubGlobal("fetch", fetch);
    const asked = api.timeline("a/b", {});
    await vi.advanceTimersByTimeAsync(0);
    expect(preparing.value).toMatchObject({ done_bytes: 3, bytes: 9 });
    fetch.mockImplementation(async () => new Response('{"points":[]}', { status: 200 }));
    await vi.advanceTimersByTimeAsync(1000);
    expect(await asked).toEqual({ points: [] });
    expect([preparing.value, fetch.mock.calls.length]).toEqual([null, 2]);
    vi.useRealTimers();
  });
  it("is no longer asked for when nobody wants it", async () => {
    const fetch = vi.fn(async (_path: string, how: { signal: AbortSignal | null }) => {
      if (how.signal?.aborted) throw new DOMException("gone", "AbortError");
      return new Response('{"preparing":{"message":"x","done_bytes":0,"bytes":9}}', { status: 202 });
    });
    vi.stubGlobal("fetch", fetch);
    const abort = new AbortController();
    const asked = api.timeline("a/b", {}, abort.signal).catch((e: unknown) => e);
    await vi.waitFor(() => expect(preparing.value).not.toBeNull());
    abort.abort();
    expect(await asked).toBeInstanceOf(DOMException);
    expect(preparing.value).toBeNull();
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
