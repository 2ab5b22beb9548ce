import { useEffect } from "preact/hooks";
import { Frame } from "./components/frame";
import { Link } from "./components/basics";
import { runOf } from "./lib/hash";
import { path } from "./lib/state";
import { ListPage } from "./pages/list";
import { ReportPage } from "./pages/report";

function NotFound() {
  useEffect(() => {
    document.title = "Not found · Perjury";
  }, []);
  return (
    <Frame>
      <div class="empty">
        <h1>There is no such page</h1>
        <p>
          Pages are the <Link href="/">list of runs</Link> and, for each run,{" "}
          <code>/runs/&lt;name&gt;/&lt;time&gt;</code>.
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
