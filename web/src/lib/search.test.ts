import { describe, expect, it } from "vitest";
import { parseSearch, withField } from "./search";

describe("searching operations", () => {
  it("reads fields", () => {
    expect(parseSearch("key:orders-2 offset:118 process:3 f:send type:info value:17 error:TIMED")).toEqual({
      params: { key: "orders-2", offset: "118", process: "3", f: "send", type: "info", value: "17", error: "TIMED" },
      problems: [],
    });
    expect(parseSearch("op:4071,5120").params).toEqual({ index: "4071,5120" });
    expect(parseSearch('key:"a b" k:c').params).toEqual({ key: "c" });
  });
  it("guesses bare words", () => {
    expect(parseSearch("poll fail orders-2 17 _MSG_TIMED_OUT").params).toEqual({
      f: "poll",
      type: "fail",
      key: "orders-2",
      value: "17",
      error: "_MSG_TIMED_OUT",
    });
    expect(parseSearch("nemesis").params).toEqual({ process: "nemesis" });
  });
  it("says what it does not understand, and asks for the rest", () => {
    const search = parseSearch("what type:maybe offset:x process:y key:orders-1");
    expect(search.params).toEqual({ key: "orders-1" });
    expect(search.problems).toHaveLength(4);
  });
  it("asks nothing for a field under way", () => {
    expect(parseSearch("key: ")).toEqual({ params: {}, problems: [] });
  });
});

describe("quick filters", () => {
  it("replace their field and leave the others", () => {
    expect(withField("key:orders-2 type:ok", "type", "fail")).toBe("key:orders-2 type:fail");
    expect(withField("fail orders-2", "type", "")).toBe("orders-2");
    expect(withField("", "key", "a b")).toBe('key:"a b"');
  });
});
