// What is shown when a page itself fails: the reason, and how to go on.

import type { ComponentChildren } from "preact";
import { useEffect, useErrorBoundary } from "preact/hooks";
import { asked, path } from "../lib/state";

export function Boundary({ children }: { children: ComponentChildren }) {
  const [error, reset] = useErrorBoundary();
  const address = path.value + asked.value;
  // A step back leads to a page that may be well.
  useEffect(reset, [address]);
  if (error === undefined) return <>{children}</>;
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return (
    <div class="empty boundary" role="alert">
      <h1>This page failed</h1>
      <p>
        The data may have a shape that these pages do not know: is the server of the same version? Reload without a
        cache, and report it with this line if it happens again.
      </p>
      <pre>{text}</pre>
      <p>
        <button type="button" class="button" onClick={reset}>
          Try again
        </button>
      </p>
    </div>
  );
}
