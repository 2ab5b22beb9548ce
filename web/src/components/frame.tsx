// What stands round every page: the name, the way back, the theme, the help.

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { alone } from "../api/client";
import { logout, onlyReads, session } from "../lib/session";
import { go, path, setTheme, theme, type Theme } from "../lib/state";
import { Link, loginUrl } from "./basics";

const NEXT: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };

function ThemeButton() {
  const label = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" }[theme.value];
  const sign = { auto: "◐", light: "○", dark: "●" }[theme.value];
  return (
    <button
      type="button"
      class="button plain"
      onClick={() => setTheme(NEXT[theme.value])}
      aria-label={label}
      title={label}
    >
      <span aria-hidden="true">{sign}</span>
    </button>
  );
}

const KEYS: [string, string][] = [
  ["n  p", "next and previous anomaly"],
  ["f", "first and worst anomaly"],
  ["/", "search"],
  ["Esc", "close what is open"],
  ["↑ ↓ PgUp PgDn", "move in the log, while it has the focus"],
  ["?", "this help"],
];

const WORDS: [string, string][] = [
  ["ok", "it definitely happened"],
  ["fail", "it definitely did not happen"],
  ["info", "unknown: it may have happened, or may still happen"],
  ["violation", "this configuration promises that it cannot happen"],
  ["allowed here", "this configuration does not rule it out"],
  ["unspecified", "no rule decides it; it never makes a run invalid"],
  ["unknown", "too little was observed to call the run valid; the reasons are named"],
];

/** Keys and words, in a dialog. */
function Help({ close }: { close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const outside = (e: MouseEvent) => e.target === dialog.current && close();
  return (
    <dialog ref={dialog} class="help" onClose={close} onClick={outside} aria-labelledby="help-title">
      <h2 id="help-title">Keys and words</h2>
      <dl>
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <dl>
        {WORDS.map(([word, what]) => (
          <div key={word}>
            <dt>{word}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button class="button">Close</button>
      </form>
    </dialog>
  );
}

const PAGES: [string, string][] = [
  ["/", "Runs"],
  ["/campaigns", "Campaigns"],
  ["/calibration", "Calibration"],
  ["/glossary", "Anomalies"],
];

function Pages() {
  const at = path.value;
  const here = (href: string) => (href === "/" ? at === "/" || at.startsWith("/runs") : at.startsWith(href));
  return (
    <nav class="frame-pages" aria-label="Pages">
      {PAGES.map(([href, name]) => (
        <Link key={href} href={href} aria-current={here(href) ? "page" : undefined}>
          {name}
        </Link>
      ))}
      <a href="/docs">API</a>
    </nav>
  );
}

/** Who is signed in; nothing where no token is needed. */
function Who() {
  const now = session.value;
  if (now === null || now.open) return null;
  if (!now.authenticated) {
    return (
      <Link class="button" href={loginUrl()}>
        Sign in
      </Link>
    );
  }
  const leave = () => void logout().then(() => go("/login"));
  return (
    <>
      <span class="tag" title="What this session may do">
        {now.role === "read" ? "read only" : now.role}
      </span>
      <button type="button" class="button" onClick={leave}>
        Sign out
      </button>
    </>
  );
}

/** Whether a key press is meant for a field. */
function inField(e: KeyboardEvent): boolean {
  const target = e.target as HTMLElement | null;
  return target !== null && /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

export function Frame({
  crumbs,
  children,
  onKey,
}: {
  crumbs?: ComponentChildren;
  children: ComponentChildren;
  onKey?: (key: string) => void;
}) {
  const [help, setHelp] = useState(false);
  // With the commit of the page, not after its paint: a key that is pressed as soon as the page shows must count.
  useLayoutEffect(() => {
    const press = (e: KeyboardEvent) => {
      if (e.metaKey || e.ctrlKey || e.altKey || inField(e)) return;
      if (e.key === "?") setHelp(true);
      else if (e.key === "/") {
        const field = document.querySelector<HTMLInputElement>("input[type=search]");
        if (field) {
          e.preventDefault();
          field.focus();
          field.scrollIntoView({ block: "center" });
        }
      } else if (!help) onKey?.(e.key);
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [help, onKey]);
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="frame">
        {alone ? (
          <span class="wordmark">Perjury</span>
        ) : (
          <Link href="/" class="wordmark" aria-label="Perjury: all runs">
            Perjury
          </Link>
        )}
        {!alone && !session.value?.only && <Pages />}
        <nav class="crumbs" aria-label="Breadcrumbs">
          {crumbs}
        </nav>
        <div class="frame-tools">
          <Who />
          <ThemeButton />
          <button
            type="button"
            class="button plain"
            onClick={() => setHelp(true)}
            aria-label="Help: keys and words"
            title="Keys and words (?)"
          >
            ?
          </button>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {onlyReads() && (
          <p class="notice" role="note">
            {session.value?.only
              ? "You see this run by a link that was shared with you: it can be read, and nothing else."
              : "You see these pages read only: nothing can be started, changed or deleted with this token."}
          </p>
        )}
        {children}
      </main>
      {help && <Help close={() => setHelp(false)} />}
    </>
  );
}
