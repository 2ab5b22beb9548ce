// Reading a line that a node printed.

/** Text without terminal colours; everything else stays as it was printed. */
export const uncoloured = (text: string): string => text.replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, "");

/** Warnings and errors, by the words that servers print in capitals. */
export function level(text: string): "error" | "warn" | "" {
  const head = text.slice(0, 120);
  if (/\b(ERROR|FATAL|CRITICAL)\b|panicked at/.test(head)) return "error";
  return /\bWARN(ING)?\b/.test(head) ? "warn" : "";
}
