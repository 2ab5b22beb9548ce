// What several components share: where the address points, the theme, the time.

import { signal } from "@preact/signals";
import { NOWHERE, type Place, readPlace, writePlace } from "./hash";

/** The path of the page that is shown, and what is asked of it. */
export const path = signal(location.pathname);
export const asked = signal(location.search);

/** What is open on a report page. */
export const place = signal<Place>(readPlace(location.hash));

/** Now, in steps that are fine enough for "3 minutes ago". */
export const now = signal(Date.now());

export type Theme = "auto" | "light" | "dark";
const KEY = "perjury-theme";

function storedTheme(): Theme {
  const theme = document.documentElement.dataset["theme"];
  return theme === "light" || theme === "dark" ? theme : "auto";
}

export const theme = signal<Theme>(storedTheme());

/** Counts up whenever colours change, so that canvases are drawn again. */
export const colours = signal(0);

export function setTheme(next: Theme): void {
  theme.value = next;
  if (next === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = next;
  try {
    if (next === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // Without storage the choice lasts for this page.
  }
  colours.value += 1;
}

/** Takes over what the address says. */
function arrive(): void {
  path.value = location.pathname;
  asked.value = location.search;
  place.value = readPlace(location.hash);
}

/** Shows another page of this server. */
export function go(url: string): void {
  history.pushState(null, "", url);
  arrive();
  scrollTo(0, 0);
}

/** Opens or closes something on this page. Every operation and anomaly that was opened is a step back. */
export function open(change: Partial<Place>, step: "push" | "replace" = "push"): void {
  const next = { ...place.value, ...change };
  if (JSON.stringify(next) === JSON.stringify(place.value)) return;
  place.value = next;
  const url = location.pathname + location.search + writePlace(next);
  if (step === "push") history.pushState(null, "", url);
  else history.replaceState(null, "", url);
}

/** The address that shows this place of this page again. */
export const permalink = (change: Partial<Place>): string =>
  location.href.replace(/[?#].*$/s, "") + writePlace({ ...NOWHERE, ...change });

export function listen(): void {
  addEventListener("popstate", arrive);
  addEventListener("hashchange", arrive);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (colours.value += 1));
  setInterval(() => (now.value = Date.now()), 15_000);
}
