import "./styles";

import { render } from "preact";
import { App } from "./app";
import { listen } from "./lib/state";

listen();
const root = document.getElementById("app");
if (root) render(<App />, root);
