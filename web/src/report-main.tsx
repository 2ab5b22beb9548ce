// The one-file report: the report page over the data that the file carries.

import "./styles";

import { render } from "preact";
import { embedded, sourceOf } from "./api/embedded";
import { standAlone } from "./api/client";
import { listen } from "./lib/state";
import { Boundary } from "./components/boundary";
import { Frame } from "./components/frame";
import { ReportPage } from "./pages/report";

function Unreadable({ why }: { why: string }) {
  return (
    <Frame>
      <div class="empty">
        <h1>This file cannot be shown</h1>
        <p>{why}</p>
        <p>
          <code>perjury verify</code> on this file says whether it was changed; <code>perjury evidence</code> on the run
          makes it again.
        </p>
      </div>
    </Frame>
  );
}

function page() {
  try {
    const data = embedded();
    if (data === null) return <Unreadable why="It carries no data: it is the template of a report." />;
    standAlone(sourceOf(data));
    return <ReportPage id={data.run.id} />;
  } catch (e) {
    return <Unreadable why={e instanceof Error ? e.message : String(e)} />;
  }
}

listen();
const root = document.getElementById("app");
if (root) render(<Boundary>{page()}</Boundary>, root);
