import { expect, it } from "vitest";
import { prefixOf } from "./prefix";

it("reads the longest linearizable prefix and why it ends", () => {
  const found = prefixOf([
    ["rule", "cannot-be-placed"],
    ["prefix_end", 41],
    ["prefix", [1, 5, 9]],
    ["prefix_length", 120],
    [
      "attempts",
      [
        {
          tail: [
            { invoke: 5, ret: 6 },
            { invoke: 9, ret: null },
          ],
          state: "3",
          why: "it read 2, the object holds 3",
        },
      ],
    ],
  ]);
  expect(found).toEqual({
    end: 41,
    length: 120,
    last: [1, 5, 9],
    attempts: [{ tail: [6, 9], state: "3", why: "it read 2, the object holds 3" }],
  });
  expect(prefixOf([["values", [1, 2]]])).toBeNull();
});
