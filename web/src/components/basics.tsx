// Small pieces that every page uses.

import type { AnchorHTMLAttributes, ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { alone, type ApiError } from "../api/client";
import type { Judgement, RunStatus } from "../api/types";
import { copyText } from "../lib/clipboard";
import { ago, integer, sentence, stamp } from "../lib/format";
import { go, now, open, place } from "../lib/state";

const SHAPES: Record<string, { d: string; label: string }> = {
  // Each verdict has a shape of its own, so that it reads without colour.
  valid: { d: "M8 1.2a6.8 6.8 0 1 0 0 13.6A6.8 6.8 0 0 0 8 1.2ZM4.6 8.2l2.4 2.4 4.4-5", label: "valid" },
  invalid: { d: "M1.5 1.5h13v13h-13ZM5 5l6 6M11 5l-6 6", label: "invalid" },
  unknown: {
    d: "M8 .8 15.2 8 8 15.2.8 8ZM6.2 6.6c0-2.6 3.7-2.4 3.6-.2 0 1.4-1.8 1.4-1.8 2.9M8 11v.6",
    label: "unknown",
  },
  none: { d: "M8 1.2a6.8 6.8 0 1 0 0 13.6A6.8 6.8 0 0 0 8 1.2ZM4.8 8h6.4", label: "no verdict" },
  running: { d: "M8 1.2a6.8 6.8 0 1 0 0 13.6A6.8 6.8 0 0 0 8 1.2ZM8 4.2V8l2.6 1.8", label: "running" },
};

export function Shape({ kind, size = 14 }: { kind: string; size?: number }) {
  const shape = SHAPES[kind] ?? SHAPES["none"];
  return (
    <svg class="shape" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      <path
        d={shape?.d}
        fill="none"
        stroke="currentColor"
        stroke-width="1.7"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  );
}

/** Shape, word and colour of a verdict; the status instead where there is none yet. */
export function VerdictBadge({ verdict, status }: { verdict: string | null; status?: RunStatus }) {
  const kind = verdict ?? (status === "running" ? "running" : "none");
  const word = verdict ?? (status === undefined || status === "complete" ? "no verdict" : status);
  return (
    <span class={`verdict verdict-${kind}`}>
      <Shape kind={kind} />
      <span>{word}</span>
    </span>
  );
}

const JUDGEMENTS: Record<Judgement, { word: string; kind: string }> = {
  violation: { word: "violation", kind: "invalid" },
  unspecified: { word: "unspecified", kind: "unknown" },
  allowed: { word: "allowed here", kind: "valid" },
};

export function JudgementBadge({ judgement }: { judgement: Judgement }) {
  const { word, kind } = JUDGEMENTS[judgement] ?? JUDGEMENTS.unspecified;
  return (
    <span class={`verdict small verdict-${kind}`}>
      <Shape kind={kind} size={12} />
      <span>{word}</span>
    </span>
  );
}

export function Outcome({ type }: { type: string }) {
  return <span class={`outcome outcome-${type}`}>{type}</span>;
}

/** "3 minutes ago", with the absolute time beside it or on hover. */
export function When({ at, both = false }: { at: string | null; both?: boolean }) {
  if (at === null) return <span class="quiet">–</span>;
  return (
    <time dateTime={at} title={stamp(at)}>
      {ago(at, now.value)}
      {both && <span class="quiet"> · {stamp(at)}</span>}
    </time>
  );
}

/** A link within these pages, which also works in a new tab. */
export function Link({ href, children, ...rest }: AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }) {
  const follow = (e: MouseEvent) => {
    if (e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || e.button !== 0) return;
    e.preventDefault();
    go(href);
  };
  return (
    <a {...rest} href={href} onClick={follow}>
      {children}
    </a>
  );
}

/** A link to an operation of this run, which opens the drawer. */
export function OpLink({ op, children }: { op: number; children?: ComponentChildren }) {
  const current = place.value.op === op;
  const show = (e: MouseEvent) => {
    if (e.metaKey || e.ctrlKey || e.shiftKey) return;
    e.preventDefault();
    e.stopPropagation();
    open({ op });
  };
  return (
    <a
      class="op-link"
      href={`#op=${op}`}
      onClick={show}
      aria-current={current ? "true" : undefined}
      title={`Operation ${op}`}
    >
      {children ?? `op ${op}`}
    </a>
  );
}

export function OpLinks({ ops, max = 12 }: { ops: number[]; max?: number }) {
  if (ops.length === 0) return null;
  return (
    <span class="op-links">
      {ops.slice(0, max).map((op) => (
        <OpLink key={op} op={op} />
      ))}
      {ops.length > max && <span class="quiet">and {integer(ops.length - max)} more</span>}
    </span>
  );
}

/** Copies a text, and says so where it was pressed. */
export function CopyButton({ text, children }: { text: () => string | Promise<string>; children: ComponentChildren }) {
  const [done, setDone] = useState<"" | "copied" | "failed" | "missing">("");
  useEffect(() => {
    if (done === "") return;
    const timer = setTimeout(() => setDone(""), 1600);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = () =>
    Promise.resolve(text())
      .then(copyText)
      .then(
        (done) => setDone(done ? "copied" : "failed"),
        () => setDone("missing"),
      );
  return (
    <button type="button" class="button" onClick={copy}>
      {children}
      <span role="status" class="copied">
        {
          {
            "": "",
            copied: " ✓ copied",
            failed: " – not allowed by the browser",
            missing: " – the server has no such text",
          }[done]
        }
      </span>
    </button>
  );
}

/** Text in which `…` marks what is to be typed. */
export function Prose({ text }: { text: string }) {
  return (
    <>{text.split("`").map((part, i) => (i % 2 === 1 ? <code key={i}>{part}</code> : <Stressed text={part} />))}</>
  );
}

/** A text with words that *stand out*. */
function Stressed({ text }: { text: string }) {
  const parts = text.split(/\*([\p{L}][^*]*)\*/u);
  return <>{parts.map((part, i) => (i % 2 === 1 ? <em key={i}>{part}</em> : part))}</>;
}

/** The page to sign in on, which leads back here. */
export const loginUrl = (): string =>
  `/login?next=${encodeURIComponent(location.pathname + location.search + location.hash)}`;

/** What went wrong and what to change. */
export function Problem({ error, retry }: { error: ApiError; retry?: () => void }) {
  return (
    <div class="problem" role="alert">
      <p>
        <strong>
          <Prose text={sentence(error.message)} />
        </strong>
      </p>
      {error.hint !== "" && (
        <p>
          <Prose text={error.hint} />
        </p>
      )}
      {error.status === 401 && !alone && (
        <Link class="button" href={loginUrl()}>
          Sign in
        </Link>
      )}
      {retry && error.status !== 401 && (
        <button type="button" class="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <p class="loading" role="status">
      Loading {what} …
    </p>
  );
}

/** A part of the report: its name in the margin, its matter beside it. */
export function Section({
  id,
  title,
  aside,
  children,
}: {
  id: string;
  title: string;
  aside?: ComponentChildren;
  children: ComponentChildren;
}) {
  return (
    <section class="section" id={id} aria-labelledby={`${id}-title`}>
      <header class="section-head">
        <h2 id={`${id}-title`}>{title}</h2>
        {aside && <div class="section-aside">{aside}</div>}
      </header>
      <div class="section-body">{children}</div>
    </section>
  );
}
