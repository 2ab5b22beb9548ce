// Sending a history or a bundle to the server, to be judged there.

import { useState } from "preact/hooks";
import { runPath, service } from "../api/client";
import { bytes } from "../lib/format";
import { go } from "../lib/state";
import { useAction } from "../lib/use-fetch";
import { Problem } from "./basics";

const MAX = 256 * 1024 * 1024;

export function Upload() {
  const [file, setFile] = useState<File | null>(null);
  const send = useAction(async () => {
    if (file === null) return;
    const name = file.name.replace(/\.(jsonl|json|edn|txt|zip|log)$/i, "").replace(/[^\w.-]+/g, "-") || "history";
    const { id } = await service.upload(name, file);
    go(`/runs/${runPath(id)}`);
  });
  const tooBig = file !== null && file.size > MAX;
  return (
    <form
      class="upload"
      onSubmit={(e) => {
        e.preventDefault();
        send.run();
      }}
    >
      <label>
        <span class="visually-hidden">A history or an evidence bundle</span>
        <input type="file" onChange={(e) => setFile(e.currentTarget.files?.[0] ?? null)} />
      </label>
      <button class="button" disabled={file === null || tooBig || send.busy}>
        {send.busy ? "Judging …" : "Judge it"}
      </button>
      {tooBig && (
        <p class="search-problem" role="status">
          {bytes(file.size)} is more than the {bytes(MAX)} that are taken here. Use <code>perjury check</code> on the
          file.
        </p>
      )}
      {send.error && <Problem error={send.error} />}
    </form>
  );
}
