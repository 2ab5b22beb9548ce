// What the server makes before it can answer: said once, wherever on the page the answer is missing.

import { preparing } from "../api/client";
import { bytes, percent } from "../lib/format";

export function PreparingNote() {
  const told = preparing.value;
  if (told === null) return null;
  return (
    <div class="preparing" role="status" data-testid="preparing">
      <progress max={told.bytes} value={told.done_bytes} aria-label="How much of the history was read" />
      <span>
        The index of this history is being made: {percent(told.done_bytes, told.bytes)} of {bytes(told.bytes)}. What is
        still missing here comes by itself.
      </span>
    </div>
  );
}
