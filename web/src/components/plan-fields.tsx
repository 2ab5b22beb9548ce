// Everything that a plan may say, from its JSON Schema.

import type { JsonObject } from "../api/types";
import { type Field, fieldsOf, sample } from "../lib/plan/fields";
import { Prose } from "./basics";

export function Fields({ schema, insert }: { schema: JsonObject; insert: (line: string) => void }) {
  const fields = fieldsOf(schema);
  const tables = [...new Set(fields.map((f) => f.table))];
  return (
    <section class="fields" aria-labelledby="fields-title">
      <h2 id="fields-title" class="group-title">
        What a plan may say
      </h2>
      {tables.map((table) => (
        <details key={table} open={table === ""}>
          <summary>{table === "" ? "At the top" : <code>{table}</code>}</summary>
          <div class="scroll">
            <table class="rules">
              <thead>
                <tr>
                  <th scope="col">Key</th>
                  <th scope="col">Takes</th>
                  <th scope="col">Default</th>
                  <th scope="col">Meaning</th>
                </tr>
              </thead>
              <tbody>
                {fields
                  .filter((f) => f.table === table)
                  .map((f) => (
                    <Row key={f.name} field={f} insert={insert} />
                  ))}
              </tbody>
            </table>
          </div>
        </details>
      ))}
      <p class="quiet">
        The same as a file: <a href="/api/v1/plans/schema">the JSON Schema</a>, which editors can check plans against.
      </p>
    </section>
  );
}

/** What holds when the key is left out. A table's keys have their own. */
function fallback({ fallback: value }: Field): string {
  const none = value === undefined || value === null || (typeof value === "object" && !Array.isArray(value));
  return none ? "" : JSON.stringify(value);
}

function Row({ field: f, insert }: { field: Field; insert: (line: string) => void }) {
  return (
    <tr>
      <th scope="row" class="mono nowrap">
        <button type="button" class="link" title="Put it into the plan, at the caret" onClick={() => insert(sample(f))}>
          {f.name}
        </button>
        {f.required && <span class="quiet"> required</span>}
      </th>
      <td>{f.kind}</td>
      <td class="mono">{fallback(f)}</td>
      <td>
        <Prose text={f.text} />
      </td>
    </tr>
  );
}
