// The first page of an empty store: what to do next.

import { may } from "../lib/session";
import { Link } from "./basics";
import { Upload } from "./upload";

export function EmptyStore() {
  return (
    <div class="empty start">
      <h2>No runs yet</h2>
      <p>A run forms a cluster, breaks it while clients write, and judges what was kept. Four ways to the first one:</p>
      <ol class="ways">
        <li>
          <h3>Start a campaign from here</h3>
          <p>
            A plan says which clusters, workloads, faults and seeds. There are plans that work as they are, on the
            embedded cluster, without anything installed.
          </p>
          {may("run") ? (
            <Link class="button primary" href="/campaigns/new">
              Choose a plan
            </Link>
          ) : (
            <p class="quiet">A token with the role run or admin may do that.</p>
          )}
        </li>
        <li>
          <h3>Or from a terminal</h3>
          <pre>
            <code>perjury run --cluster testbed --workload queue --nemesis kill --time-limit 30s</code>
          </pre>
          <p>
            Give it the same <code>--store</code> as this server, and it appears here while it runs. To see a defect
            being found, add <code>--bug ack-before-replication</code>.
          </p>
        </li>
        {may("run") && (
          <li>
            <h3>Judge a history that you have</h3>
            <p>Perjury’s JSONL, Jepsen’s EDN, Elle’s JSON and others; the format is recognised.</p>
            <Upload />
          </li>
        )}
        <li>
          <h3>Copy a run in</h3>
          <p>
            A run directory that is copied into the store, as <code>&lt;name&gt;/&lt;time&gt;</code>, appears by itself.
          </p>
        </li>
      </ol>
      <p>
        New to this? <Link href="/glossary">Every anomaly is explained</Link>, with a small history that shows it.
      </p>
    </div>
  );
}
