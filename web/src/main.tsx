import "@fontsource/ibm-plex-sans/latin-400.css";
import "@fontsource/ibm-plex-sans/latin-600.css";
import "@fontsource/ibm-plex-mono/latin-400.css";
import "@fontsource/ibm-plex-mono/latin-600.css";
import "@fontsource/ibm-plex-serif/latin-500.css";
import "uplot/dist/uPlot.min.css";
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
