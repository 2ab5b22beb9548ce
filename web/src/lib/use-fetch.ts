import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api/client";

export interface Fetched<T> {
  data: T | null;
  error: ApiError | null;
  /** Whether an answer is on its way; older data stays meanwhile. */
  loading: boolean;
  reload: () => void;
}

/**
 * Fetches when `key` changes, and again every `everyMs` while that is not null and the page is visible. An answer that
 * was overtaken is dropped.
 */
export function useFetch<T>(
  key: string | null,
  load: (signal: AbortSignal) => Promise<T>,
  everyMs: number | null = null,
): Fetched<T> {
  const [state, setState] = useState<Omit<Fetched<T>, "reload">>({ data: null, error: null, loading: key !== null });
  const [turn, setTurn] = useState(0);
  const shown = useRef<string | null>(null);
  useEffect(() => {
    if (key === null) {
      shown.current = null;
      setState({ data: null, error: null, loading: false });
      return;
    }
    const abort = new AbortController();
    const same = shown.current === key;
    setState((s) => ({ data: same ? s.data : null, error: null, loading: true }));
    shown.current = key;
    load(abort.signal).then(
      (data) => abort.signal.aborted || setState({ data, error: null, loading: false }),
      (e: unknown) => {
        if (abort.signal.aborted) return;
        setState((s) => ({ ...s, error: problem(e), loading: false }));
      },
    );
    return () => abort.abort();
  }, [key, turn]);
  useEffect(() => {
    if (everyMs === null) return;
    const timer = setInterval(() => document.hidden || setTurn((t) => t + 1), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return { ...state, reload: () => setTurn((t) => t + 1) };
}

export interface Action {
  busy: boolean;
  error: ApiError | null;
  /** Does it once; a second press while it is under way is ignored. */
  run: () => void;
}

/** Something that changes the server, started by a press. */
export function useAction(act: () => Promise<unknown>): Action {
  const [state, setState] = useState<{ busy: boolean; error: ApiError | null }>({ busy: false, error: null });
  const run = () => {
    if (state.busy) return;
    setState({ busy: true, error: null });
    act().then(
      () => setState({ busy: false, error: null }),
      (e: unknown) => setState({ busy: false, error: problem(e) }),
    );
  };
  return { ...state, run };
}

const problem = (e: unknown): ApiError =>
  e instanceof ApiError ? e : new ApiError(0, "page", String(e), "Reload the page.");
