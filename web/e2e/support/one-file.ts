// Fills the template of the one-file report with what a server answers about a run, as `perjury evidence` does.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, type Page } from "@playwright/test";

const PLACE = '<script type="application/json" id="perjury-data">null</script>';

export async function template(): Promise<string> {
  return readFile(resolve("dist-report/report.html"), "utf8");
}

export async function fill(data: unknown, name: string): Promise<{ url: string; bytes: number }> {
  const page = await template();
  expect(page.split(PLACE), "the template has one place for data").toHaveLength(2);
  const json = JSON.stringify(data).replaceAll("<", "\\u003c");
  const text = page.replace(PLACE, () => PLACE.replace(">null<", () => `>${json}<`));
  const path = resolve("test-results", name);
  await mkdir("test-results", { recursive: true });
  await writeFile(path, text);
  return { url: pathToFileURL(path).href, bytes: Buffer.byteLength(text) };
}

interface Anomaly {
  examples: { key?: string | number; offset?: number; ops: number[] }[];
}

/** What the server says of a run: the first operations, and those of every example. */
export async function dataOf(page: Page, id: string): Promise<Record<string, unknown>> {
  const get = async (path: string) => {
    const answer = await page.request.get(`/api/v1${path}`);
    expect(answer.ok(), path).toBe(true);
    return answer.json();
  };
  const detail = await get(`/runs/${id}`);
  const anomalies = Object.values(detail.report.anomalies as Record<string, Anomaly>);
  const examples = anomalies.flatMap((a) => a.examples);
  const ops = [...new Set(examples.flatMap((e) => e.ops))].slice(0, 900);
  const [named, first] = [
    await get(`/runs/${id}/operations?index=${ops.join()}`),
    await get(`/runs/${id}/operations?limit=1000`),
  ];
  const at = (op: { invoke?: { index: number }; complete?: { index: number } }) =>
    op.invoke?.index ?? op.complete?.index ?? 0;
  const items = new Map([...first.operations, ...named.operations].map((op) => [at(op), op]));
  const key = examples.find((e) => e.key !== undefined && e.offset !== undefined);
  const logs = [await get(`/runs/${id}/logs?limit=200`)];
  if (key) logs.push(await get(`/runs/${id}/log?key=${key.key}&from=0&to=1999`));
  return {
    schema: "perjury.evidence/1",
    run: detail.summary,
    detail,
    timeline: await get(`/runs/${id}/timeline`),
    operations: { history: "window", items: [...items].sort(([a], [b]) => a - b).map(([, op]) => op) },
    logs,
    manifest: { tool: "perjury", history_sha256: "5ea1ed" },
  };
}
