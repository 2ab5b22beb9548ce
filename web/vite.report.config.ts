import { createHash } from "node:crypto";
import type { Plugin } from "vite";
import { defineConfig } from "vite";

/** The element that `perjury` puts a run's data into, byte for byte as the built page holds it. */
const DATA = '<script type="application/json" id="perjury-data">null</script>';

const hashOf = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** What would end a script element early stays the same program in another spelling. */
const inScript = (code: string) => code.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");

/**
 * Puts scripts and styles into the page, and a policy that lets nothing else run and nothing be fetched. The hashes make
 * the policy strict: a script that got into the data some other way does not run.
 */
function oneFile(): Plugin {
  return {
    name: "perjury:one-file",
    enforce: "post",
    generateBundle(_options, bundle) {
      const page = bundle["report.html"];
      if (page?.type !== "asset") throw new Error("the build gave no report.html");
      let [code, style] = ["", ""];
      for (const [name, part] of Object.entries(bundle)) {
        if (part.type === "chunk") code += inScript(part.code);
        else if (name.endsWith(".css")) style += String(part.source);
        else if (name !== "report.html") throw new Error(`${name} would be a file beside the report`);
        if (name !== "report.html") delete bundle[name];
      }
      const policy = `default-src 'none'; script-src ${hashOf(code)}; style-src ${hashOf(style)}; img-src data:; font-src data:; base-uri 'none'; form-action 'none'`;
      const head = `<meta http-equiv="Content-Security-Policy" content="${policy}" />\n    <style>${style}</style>\n  </head>`;
      const bare = String(page.source)
        .replace(/\s*<script type="module"[^>]*><\/script>/g, "")
        .replace(/\s*<link rel="stylesheet"[^>]*>/g, "")
        .replace(/<script type="application\/json" id="perjury-data">\s*null\s*<\/script>/, () => DATA);
      if (!bare.includes(DATA)) throw new Error("report.html has no place for the data");
      page.source = bare
        .replace(/\s*<\/head>/, () => `\n    ${head}`)
        .replace(/\s*<\/body>/, () => `\n    <script type="module">${code}</script>\n  </body>`);
    },
  };
}

export default defineConfig({
  publicDir: false,
  plugins: [oneFile()],
  build: {
    outDir: "dist-report",
    target: "es2023",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // Fonts and pictures go into the styles.
    assetsInlineLimit: () => true,
    cssCodeSplit: false,
    modulePreload: false,
    rolldownOptions: { input: "report.html", output: { codeSplitting: false } },
  },
});
