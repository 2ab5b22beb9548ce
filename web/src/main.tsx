import "./styles";

import { render } from "preact";
import { App } from "./app";
import { Boundary } from "./components/boundary";
import { loadSession } from "./lib/session";
import { listen } from "./lib/state";

listen();
void loadSession();
const root = document.getElementById("app");
if (root) {
  render(
    <Boundary>
      <App />
    </Boundary>,
    root,
  );
}
