import type { LogView, NodeLog, OperationPage, RunDetail, RunList, Timeline } from "./types";

/** An answer of the API that is not what was asked for; `hint` says what to change. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

type Params = Record<string, string | number | null | undefined>;

/**
 * Parses JSON and keeps integers beyond 2^53, such as seeds, as text where the browser tells their source.
 * The reviver costs time, so it runs only where such an integer may be.
 */
export function parseJson(text: string): unknown {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const exact = (_key: string, value: unknown, context?: { source?: string }) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? context?.source
      : value;
  return JSON.parse(text, exact as (key: string, value: unknown) => unknown);
}

function query(params: Params): string {
  const given = Object.entries(params).filter(([, v]) => v !== null && v !== undefined && v !== "");
  const text = new URLSearchParams(given.map(([k, v]) => [k, String(v)])).toString();
  return text === "" ? "" : `?${text}`;
}

async function get<T>(path: string, params: Params, signal?: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path + query(params), { signal: signal ?? null });
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new ApiError(
      0,
      "offline",
      "The server does not answer.",
      "Start it again with `perjury serve`, then reload.",
    );
  }
  const text = await response.text();
  let body: unknown;
  try {
    body = parseJson(text);
  } catch {
    throw new ApiError(
      response.status,
      "not-json",
      `The server answered ${response.status} without JSON.`,
      "See its log.",
    );
  }
  if (response.ok) return body as T;
  const error = (body as { error?: { code?: string; message?: string; hint?: string } }).error ?? {};
  const { code = "error", message = `The server answered ${response.status}.`, hint = "" } = error;
  throw new ApiError(response.status, code, message, hint);
}

const enc = encodeURIComponent;

export function runPath(id: string): string {
  return id.split("/").map(enc).join("/");
}

export const fileUrl = (id: string, file: string) =>
  `/api/v1/runs/${runPath(id)}/files/${file.split("/").map(enc).join("/")}`;

export const listRuns = (params: Params, signal?: AbortSignal) => get<RunList>("/api/v1/runs", params, signal);

/** The routes of one run. */
export const api = {
  detail: (id: string, signal?: AbortSignal) => get<RunDetail>(`/api/v1/runs/${runPath(id)}`, {}, signal),
  timeline: (id: string, params: Params, signal?: AbortSignal) =>
    get<Timeline>(`/api/v1/runs/${runPath(id)}/timeline`, params, signal),
  operations: (id: string, params: Params, signal?: AbortSignal) =>
    get<OperationPage>(`/api/v1/runs/${runPath(id)}/operations`, params, signal),
  log: (id: string, params: Params, signal?: AbortSignal) =>
    get<LogView>(`/api/v1/runs/${runPath(id)}/log`, params, signal),
  nodeLog: (id: string, params: Params, signal?: AbortSignal) =>
    get<NodeLog>(`/api/v1/runs/${runPath(id)}/logs`, params, signal),
};
