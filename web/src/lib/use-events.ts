// Server-sent events: one connection, named events, reconnected by the browser.

import { useEffect, useRef, useState } from "preact/hooks";

/** How the connection stands. */
export type Line = "connecting" | "open" | "lost";

/** After how long a refused connection is tried again, ms. */
const RETRY = 3000;

/** Listens to `url` while it is not null. A message that is no JSON is left out. */
export function useEvents(url: string | null, on: Record<string, (data: unknown) => void>): Line {
  const [line, setLine] = useState<Line>("connecting");
  const handlers = useRef(on);
  handlers.current = on;
  const names = Object.keys(on).join();
  useEffect(() => {
    if (url === null) return;
    let source: EventSource | null = null;
    let again = 0;
    const connect = () => {
      source = new EventSource(url);
      setLine("connecting");
      source.onopen = () => setLine("open");
      source.onerror = () => {
        setLine("lost");
        // A refusal ends an event source for good; whatever refused may be there later.
        if (source?.readyState === EventSource.CLOSED) again = window.setTimeout(look, RETRY);
      };
      for (const name of names.split(",")) {
        source.addEventListener(name, (event) => {
          let data: unknown;
          try {
            data = JSON.parse((event as MessageEvent<string>).data);
          } catch {
            return;
          }
          handlers.current[name]?.(data);
        });
      }
    };
    // Browsers allow few connections to a server: pages that nobody looks at hold none.
    const look = () => {
      clearTimeout(again);
      source?.close();
      source = null;
      if (!document.hidden) connect();
    };
    look();
    document.addEventListener("visibilitychange", look);
    return () => {
      document.removeEventListener("visibilitychange", look);
      clearTimeout(again);
      source?.close();
    };
  }, [url, names]);
  return line;
}
