// Colours for canvases: the stylesheet's own, resolved for the theme that is shown.

const NAMES = [
  "ok",
  "info",
  "fail",
  "invalid",
  "ink",
  "ink-2",
  "ink-3",
  "rule",
  "band",
  "band-edge",
  "leader",
  "surface",
  "accent",
] as const;

export type Palette = Record<(typeof NAMES)[number], string>;

export function palette(): Palette {
  const probe = document.createElement("span");
  document.body.append(probe);
  const pairs = NAMES.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color];
  });
  probe.remove();
  return Object.fromEntries(pairs) as Palette;
}
