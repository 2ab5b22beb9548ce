import { expect, it } from "vitest";
import { level, uncoloured } from "./log-line";

it("takes terminal colours out and leaves the rest as it was printed", () => {
  expect(uncoloured("\u001b[2m12:00\u001b[0m \u001b[31mERROR\u001b[0m <b>x</b>")).toBe("12:00 ERROR <b>x</b>");
});

it("knows warnings and errors by the words of servers", () => {
  expect(level("2026 WARN raft: heartbeat missed")).toBe("warn");
  expect(level("[ERROR] disk")).toBe("error");
  expect(level("thread 'main' panicked at src/log.rs")).toBe("error");
  expect(level("INFO no errors, no warnings")).toBe("");
});
