// How far an object could be explained by some order of its operations, and why not further.

import { integer, plural } from "../lib/format";
import type { Prefix } from "../lib/proof/prefix";
import { OpLink, OpLinks } from "./basics";

export function LongestPrefix({ prefix, culprit }: { prefix: Prefix; culprit: number | null }) {
  return (
    <section class="prefix" aria-label="Longest linearizable prefix">
      <h3>The longest linearizable prefix</h3>
      <p>
        {plural(prefix.length, "operation")} before event {integer(prefix.end)} can be put into an order that explains
        every answer
        {culprit === null ? (
          "."
        ) : (
          <>
            ; <OpLink op={culprit} /> is the first that fits nowhere.
          </>
        )}
      </p>
      {prefix.last.length > 0 && (
        <ol class="chain" aria-label="The end of that order">
          {prefix.last.length < prefix.length && (
            <li class="quiet">{integer(prefix.length - prefix.last.length)} before</li>
          )}
          {prefix.last.map((op) => (
            <li key={op}>
              <OpLink op={op}>{op}</OpLink>
            </li>
          ))}
          {culprit !== null && (
            <li class="lost">
              ✕ <OpLink op={culprit}>{culprit}</OpLink>
            </li>
          )}
        </ol>
      )}
      {prefix.attempts.length > 0 && (
        <table class="attempts">
          <caption>What was tried, and why it ends there</caption>
          <thead>
            <tr>
              <th scope="col">Order ends with</th>
              <th scope="col">The object then</th>
              <th scope="col">Why nothing can follow</th>
            </tr>
          </thead>
          <tbody>
            {prefix.attempts.map((a, i) => (
              <tr key={i}>
                <td>
                  <OpLinks ops={a.tail} max={6} />
                </td>
                <td class="mono">{a.state}</td>
                <td>{a.why}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
