import { defineConfig } from "@playwright/test";

const running = process.env["PERJURY_URL"];
if (!running) throw new Error("PERJURY_URL must name a running `perjury serve`, such as http://127.0.0.1:8080");

export default defineConfig({
  testDir: "e2e",
  outputDir: "test-results",
  reporter: [["list"]],
  workers: 1,
  // Once more for what a starved machine broke; the list then calls it flaky. A defect fails twice.
  retries: 1,
  // Screenshots of long pages and accessibility checks take their time on a busy machine.
  timeout: 300_000,
  expect: { timeout: 60_000 },
  use: {
    baseURL: running,
    viewport: { width: 1280, height: 900 },
    launchOptions: {
      // Debian's package; Playwright's own browsers are not downloaded.
      executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      // No sandbox, since tests also run as root in containers; no background traffic, since the machine may be offline.
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});
