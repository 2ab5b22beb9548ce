// The text of a plan, with numbered lines and what is wrong with them.

import type { RefObject } from "preact";
import type { PlanProblem } from "../api/types";
import { Prose } from "./basics";

interface Props {
  toml: string;
  change: (toml: string) => void;
  problems: PlanProblem[];
  field: RefObject<HTMLTextAreaElement | null>;
}

export function Editor({ toml, change, problems, field }: Props) {
  const lines = Math.max(16, toml.split("\n").length + 1);
  const bad = new Set(problems.map((p) => p.line));
  /** Puts the caret on a line. */
  const show = (line: number) => {
    const begin = toml
      .split("\n")
      .slice(0, line - 1)
      .reduce((n, l) => n + l.length + 1, 0);
    const end = toml.indexOf("\n", begin);
    field.current?.focus();
    field.current?.setSelectionRange(begin, end === -1 ? toml.length : end);
  };
  const indent = (e: KeyboardEvent & { currentTarget: HTMLTextAreaElement }) => {
    // Tab leaves the field, as everywhere; Ctrl-] puts in two blanks.
    if (e.key !== "]" || !e.ctrlKey) return;
    e.preventDefault();
    e.currentTarget.setRangeText("  ", e.currentTarget.selectionStart, e.currentTarget.selectionEnd, "end");
    change(e.currentTarget.value);
  };
  return (
    <div class="editor">
      <div class="editor-text">
        <pre class="editor-lines" aria-hidden="true">
          {Array.from({ length: lines }, (_, i) => (
            <span key={i} class={bad.has(i + 1) ? "bad" : ""}>
              {i + 1}
              {"\n"}
            </span>
          ))}
        </pre>
        <textarea
          ref={field}
          value={toml}
          rows={lines}
          wrap="off"
          spellcheck={false}
          autocomplete="off"
          aria-label="Plan, as TOML"
          aria-invalid={problems.length > 0}
          aria-describedby="plan-problems"
          onInput={(e) => change(e.currentTarget.value)}
          onKeyDown={indent}
        />
      </div>
      <ul class="editor-problems" id="plan-problems" aria-live="polite" aria-label="Errors in the plan">
        {problems.map((p, i) => (
          <li key={i}>
            <span aria-hidden="true">✕ </span>
            {p.line !== null && (
              <button type="button" class="link" onClick={() => show(p.line ?? 1)}>
                line {p.line}
              </button>
            )}{" "}
            {p.path !== "" && <code>{p.path}</code>} <Prose text={p.message} />
            {p.hint !== null && p.hint !== "" && (
              <span class="quiet">
                {" "}
                <Prose text={p.hint} />
              </span>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}
