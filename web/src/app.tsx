import { useEffect } from "preact/hooks";
import { Link } from "./components/basics";
import { Frame } from "./components/frame";
import { routeOf } from "./lib/routes";
import { path } from "./lib/state";
import { CalibrationPage } from "./pages/calibration";
import { CampaignPage } from "./pages/campaign";
import { CampaignsPage } from "./pages/campaigns";
import { ComparePage } from "./pages/compare";
import { GlossaryPage } from "./pages/glossary";
import { ListPage } from "./pages/list";
import { LoginPage } from "./pages/login";
import { PlanPage } from "./pages/plan";
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
          A run stands under <code>/runs/&lt;name&gt;/&lt;time&gt;</code>, a campaign under{" "}
          <code>/campaigns/&lt;id&gt;</code>. If a link led here, it may have been cut: copy it whole.
        </p>
        <ul class="plain-list">
          <li>
            <Link href="/">All runs</Link>
          </li>
          <li>
            <Link href="/campaigns">All campaigns</Link>
          </li>
          <li>
            <Link href="/glossary">Every anomaly explained</Link>
          </li>
        </ul>
      </div>
    </Frame>
  );
}

function BadLink() {
  useEffect(() => {
    document.title = "Link expired · Perjury";
  }, []);
  return (
    <Frame>
      <div class="empty">
        <h1>This link does not work any more</h1>
        <p>
          It has expired, or it is not complete: copy it whole, or ask whoever sent it for a new one. A run’s page makes
          one under <i>Take it away</i>.
        </p>
        <p>
          <Link href="/login">Sign in with a token</Link>
        </p>
      </div>
    </Frame>
  );
}

export function App() {
  const route = routeOf(path.value);
  switch (route.page) {
    case "list":
      return <ListPage />;
    case "report":
      return <ReportPage key={route.run} id={route.run} />;
    case "compare":
      return <ComparePage />;
    case "campaigns":
      return <CampaignsPage />;
    case "campaign":
      return <CampaignPage key={route.id} id={route.id} />;
    case "plan":
      return <PlanPage />;
    case "calibration":
      return <CalibrationPage />;
    case "glossary":
      return <GlossaryPage />;
    case "login":
      return <LoginPage />;
    case "share":
      return <BadLink />;
    case "none":
      return <NotFound />;
  }
}
