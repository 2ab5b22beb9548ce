import { defineConfig } from "vitest/config";

// `npm run dev` serves the pages with the API of a server that runs beside it: PERJURY_URL, or the default port.
const api = process.env["PERJURY_URL"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  build: {
    target: "es2023",
    // The first versions that know light-dark().
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // Small files stay files: the content security policy allows data URLs only for images.
    assetsInlineLimit: 0,
    // The policy allows no inline script, and browsers of the target need no polyfill.
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": api } },
  test: { include: ["src/**/*.test.ts"] },
});
