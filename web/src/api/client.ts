import { signal } from "@preact/signals";
import type {
  Calibration,
  CalibrationLine,
  Campaign,
  Comparison,
  Glossary,
  JsonObject,
  LogView,
  NamedPlan,
  NodeLog,
  OperationPage,
  PlanCheck,
  Retention,
  RunDetail,
  RunList,
  Session,
  Timeline,
  Trend,
} from "./types";

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

export type Params = Record<string, string | number | null | undefined>;

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

/** What a request sends; a body that is an object goes as JSON. */
interface Ask {
  method?: "GET" | "POST" | "PUT" | "DELETE";
  params?: Params;
  body?: unknown;
  signal?: AbortSignal | undefined;
}

/** The token against forged requests, from `GET /session`; every request that changes something carries it. */
let csrf = "";

export function setCsrf(token: string): void {
  csrf = token;
}

async function send(path: string, { method = "GET", params = {}, body, signal }: Ask): Promise<Response> {
  const headers: Record<string, string> = {};
  if (method !== "GET" && csrf !== "") headers["x-csrf-token"] = csrf;
  const raw = body instanceof Blob;
  if (body !== undefined && !raw) headers["content-type"] = "application/json";
  const more = { ...(method === "GET" ? {} : { method }), ...(Object.keys(headers).length > 0 ? { headers } : {}) };
  const content = body === undefined ? {} : { body: raw ? body : JSON.stringify(body) };
  try {
    return await fetch(path + query(params), { ...more, ...content, signal: signal ?? null });
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new ApiError(
      0,
      "offline",
      "The server does not answer.",
      "Start it again with `perjury serve`, then reload.",
    );
  }
}

/** The error that an answer tells; `body` is null where it is no JSON. */
function refusal(status: number, body: unknown): ApiError {
  const error = (body as { error?: { code?: string; message?: string; hint?: string } } | null)?.error ?? {};
  const { code = "error", message = `The server answered ${status}.`, hint = "" } = error;
  return new ApiError(status, code, message, hint);
}

/** How far something is that the server makes before it can answer. */
export interface Preparing {
  message: string;
  done_bytes: number;
  bytes: number;
}

/** What the server makes before it answers; null while nothing is waited for. */
export const preparing = signal<Preparing | null>(null);

/** How long to wait before the same is asked again, ms, and how often: for half a day, then something is wrong. */
const ASK_AGAIN = 1000;
const ASKS_MAX = 43_200;

/** Resolves after a while, or at once when it is no longer wanted. */
const pause = (ms: number, signal: AbortSignal | undefined) =>
  new Promise<void>((done) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      done();
    });
  });

/** As `send`, and while the answer is *not yet*, again. */
async function answered(path: string, how: Ask): Promise<Response> {
  let response = await send(path, how);
  let waited = false;
  try {
    for (let asks = 0; response.status === 202 && asks < ASKS_MAX; asks++) {
      const told = (parseJson(await response.text()) as { preparing?: Preparing }).preparing;
      preparing.value = told ?? null;
      waited = true;
      await pause(ASK_AGAIN, how.signal);
      response = await send(path, how);
    }
    return response;
  } finally {
    if (waited) preparing.value = null;
  }
}

async function ask<T>(path: string, how: Ask = {}): Promise<T> {
  const response = await answered(path, how);
  const text = await response.text();
  if (response.ok && text === "") return undefined as T;
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
  throw refusal(response.status, body);
}

const get = <T>(path: string, params: Params = {}, signal?: AbortSignal) => ask<T>(path, { params, signal });
const post = <T>(path: string, body?: unknown) => ask<T>(path, { method: "POST", body });

const enc = encodeURIComponent;

export function runPath(id: string): string {
  return id.split("/").map(enc).join("/");
}

export const fileUrl = (id: string, file: string) =>
  `/api/v1/runs/${runPath(id)}/files/${file.split("/").map(enc).join("/")}`;

export const listRuns = (params: Params, signal?: AbortSignal) => get<RunList>("/api/v1/runs", params, signal);

/** What a report page asks about one run: a server answers it, or the data inside a one-file report. */
export interface RunSource {
  detail(id: string, signal?: AbortSignal): Promise<RunDetail>;
  timeline(id: string, params: Params, signal?: AbortSignal): Promise<Timeline>;
  operations(id: string, params: Params, signal?: AbortSignal): Promise<OperationPage>;
  log(id: string, params: Params, signal?: AbortSignal): Promise<LogView>;
  nodeLog(id: string, params: Params, signal?: AbortSignal): Promise<NodeLog>;
  glossary(signal?: AbortSignal): Promise<Glossary>;
  /** What a one-file report says of itself: hashes, and a signature if it was signed. */
  seal?: { manifest?: Record<string, unknown> | undefined; signature?: Record<string, unknown> | undefined };
  /** Which operations there are, where it is not a matter of course that all are. */
  held?: "whole" | "window" | "shrunk";
  /** The report as text of an issue tracker. */
  markdown(id: string, flavor: "github" | "jira"): Promise<string>;
}

const run = (id: string) => `/api/v1/runs/${runPath(id)}`;

const server: RunSource = {
  detail: (id, signal) => get(run(id), {}, signal),
  timeline: (id, params, signal) => get(`${run(id)}/timeline`, params, signal),
  operations: (id, params, signal) => get(`${run(id)}/operations`, params, signal),
  log: (id, params, signal) => get(`${run(id)}/log`, params, signal),
  nodeLog: (id, params, signal) => get(`${run(id)}/logs`, params, signal),
  glossary: (signal) => get("/api/v1/glossary", {}, signal),
  async markdown(id, flavor) {
    const response = await send(`${run(id)}/markdown`, { params: { flavor } });
    if (!response.ok) throw refusal(response.status, await response.json().catch(() => null));
    return response.text();
  },
};

/** The routes of one run. */
export let api: RunSource = server;

/** Whether this page is a one-file report: there is no server to ask, and nothing but this run. */
export let alone = false;

/** Answers everything from `source` from now on: the page is a one-file report. */
export function standAlone(source: RunSource): void {
  api = source;
  alone = true;
}

/** What changes something, and what reaches beyond one run. */
export const service = {
  trend: (name: string, signal?: AbortSignal) => get<Trend>("/api/v1/trends", { name }, signal),
  compare: (a: string, b: string, signal?: AbortSignal) => get<Comparison>("/api/v1/compare", { a, b }, signal),
  remove: (id: string, violation: boolean) =>
    ask<void>(run(id), { method: "DELETE", params: { violation: violation ? "yes" : null } }),
  pin: (id: string, pinned: boolean) => ask<void>(`${run(id)}/pin`, { method: pinned ? "PUT" : "DELETE" }),
  retention: (signal?: AbortSignal) => get<Retention>("/api/v1/retention", {}, signal),
  prune: () => post<{ gone: number }>("/api/v1/retention"),
  planSchema: (signal?: AbortSignal) => get<JsonObject>("/api/v1/plans/schema", {}, signal),
  namedPlans: (signal?: AbortSignal) => get<NamedPlan[] | { items: NamedPlan[] }>("/api/v1/plans/named", {}, signal),
  validate: (toml: string, signal?: AbortSignal) =>
    ask<PlanCheck>("/api/v1/plans/validate", { method: "POST", body: { toml }, signal }),
  campaigns: (params: Params, signal?: AbortSignal) =>
    get<{ items: Campaign[]; total: number }>("/api/v1/campaigns", params, signal),
  campaign: (id: string, signal?: AbortSignal) => get<Campaign>(`/api/v1/campaigns/${enc(id)}`, {}, signal),
  calibrations: (signal?: AbortSignal) =>
    get<{ items: CalibrationLine[]; total: number }>("/api/v1/calibrations", {}, signal),
  calibration: (id: string, signal?: AbortSignal) => get<Calibration>(`/api/v1/calibrations/${enc(id)}`, {}, signal),
  start: (toml: string, name: string) => post<{ id: string }>("/api/v1/campaigns", { toml, name }),
  steer: (id: string, what: "pause" | "resume" | "cancel") => post<void>(`/api/v1/campaigns/${enc(id)}/${what}`),
  replay: (id: string) => post<{ campaign: string }>(`${run(id)}/replay`),
  share: (id: string, hours: number) => post<{ url: string }>(`${run(id)}/share`, { hours }),
  upload: (name: string, file: Blob) =>
    ask<{ id: string; verdict: string | null }>("/api/v1/histories", { method: "POST", params: { name }, body: file }),
  session: (signal?: AbortSignal) => get<Session>("/api/v1/session", {}, signal),
  login: (token: string) => post<Session | undefined>("/api/v1/session", { token }),
  logout: () => ask<void>("/api/v1/session", { method: "DELETE" }),
};

/** Where a browser fetches the evidence of a run: a zip, or the report as one file. */
export const evidenceUrl = (id: string, params: Params) => `${run(id)}/evidence${query(params)}`;
export const oneFileUrl = (id: string, params: Params) => `${run(id)}/report.html${query(params)}`;
export const eventsUrl = (id: string | null) => (id === null ? "/api/v1/events" : `${run(id)}/events`);
