import { defineConfig } from "vitest/config";

// `npm run dev` serves the pages with the API of a server that runs beside it: PERJURY_URL, or the default port.
const api = process.env["PERJURY_URL"] ?? "http://127.0.0.1:8080";

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

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
  server: { proxy: { "/api": api, "/docs": api } },
  // `npm run preview` serves the built pages under the policy of the server.
  preview: { headers: { "content-security-policy": policy } },
  test: { include: ["src/**/*.test.ts"] },
});
