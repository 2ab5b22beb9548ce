// A named fact, and a named list of them.

import { Prose } from "./basics";

export function Fact({ name, text }: { name: string; text: string }) {
  if (text === "") return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <Prose text={text} />
      </dd>
    </div>
  );
}

export function Items({ name, items }: { name: string; items: string[] }) {
  if (items.length === 0) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <ul>
          {items.map((item) => (
            <li key={item}>
              <Prose text={item} />
            </li>
          ))}
        </ul>
      </dd>
    </div>
  );
}
