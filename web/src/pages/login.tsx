// Signing in with a token.

import { useEffect, useState } from "preact/hooks";
import { Link, Problem } from "../components/basics";
import { Frame } from "../components/frame";
import { login, session } from "../lib/session";
import { go } from "../lib/state";
import { useAction } from "../lib/use-fetch";

/** Where to go afterwards: a place of these pages, never another server. */
function next(): string {
  const wanted = new URLSearchParams(location.search).get("next") ?? "/";
  return /^\/(?![/\\])/.test(wanted) ? wanted : "/";
}

export function LoginPage() {
  const [token, setToken] = useState("");
  const enter = useAction(async () => {
    await login(token.trim());
    go(next());
  });
  useEffect(() => {
    document.title = "Sign in · Perjury";
  }, []);
  const open = session.value?.open === true;
  return (
    <Frame crumbs={<span aria-current="page">Sign in</span>}>
      <div class="empty">
        <h1>Sign in</h1>
        {open ? (
          <p>
            No token exists yet and this server listens on this machine alone, so nobody has to sign in.{" "}
            <code>perjury token create NAME --role admin</code> makes the first token; from then on one is asked for.{" "}
            <Link href="/">To the list of runs</Link>
          </p>
        ) : (
          <p>
            Paste a token. Whoever runs this server makes one with <code>perjury token create NAME --role read</code> (
            <code>run</code> may also start campaigns, <code>admin</code> may also delete).
          </p>
        )}
        {!open && (
          <form
            class="login"
            onSubmit={(e) => {
              e.preventDefault();
              enter.run();
            }}
          >
            <label>
              Token
              <input
                type="password"
                name="token"
                autocomplete="current-password"
                value={token}
                onInput={(e) => setToken(e.currentTarget.value)}
                required
              />
            </label>
            <button class="button primary" disabled={enter.busy || token.trim() === ""}>
              Sign in
            </button>
          </form>
        )}
        {enter.error && <Problem error={enter.error} />}
      </div>
    </Frame>
  );
}
