import "uplot/dist/uPlot.min.css";
import "./styles/fonts.css";
import "./styles/base.css";
import "./styles/list.css";
import "./styles/report.css";
import "./styles/charts.css";
import "./styles/operations.css";
import "./styles/print.css";

import { render } from "preact";
import { App } from "./app";
import { listen } from "./lib/state";

listen();
const root = document.getElementById("app");
if (root) render(<App />, root);
