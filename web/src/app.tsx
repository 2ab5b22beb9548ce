import { useEffect } from "preact/hooks";
import { Frame } from "./components/frame";
import { Link } from "./components/basics";
import { path } from "./lib/state";
import { ListPage } from "./pages/list";
import { ReportPage } from "./pages/report";

/** The run that a path names: `/runs/{name}/{time}`. */
export function runOf(pathname: string): string | null {
  const cut = /^\/runs\/([^/]+)\/([^/]+)\/?$/.exec(pathname);
  try {
    return cut ? `${decodeURIComponent(cut[1] ?? "")}/${decodeURIComponent(cut[2] ?? "")}` : null;
  } catch {
    return null;
  }
}

function NotFound() {
  useEffect(() => {
    document.title = "Not found · Perjury";
  }, []);
  return (
    <Frame>
      <div class="empty">
        <h1>There is no such page</h1>
        <p>
          Pages are the <Link href="/">list of runs</Link> and, for each run, <code>/runs/&lt;name&gt;/&lt;time&gt;</code>.
        </p>
      </div>
    </Frame>
  );
}

export function App() {
  const run = runOf(path.value);
  if (run !== null) return <ReportPage key={run} id={run} />;
  if (path.value === "/" || path.value === "/runs" || path.value === "/index.html") return <ListPage />;
  return <NotFound />;
}
