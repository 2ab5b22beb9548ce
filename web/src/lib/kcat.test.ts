import { describe, expect, it } from "vitest";
import { bootstrap, kcat, rerun } from "./kcat";

describe("commands to copy", () => {
  it("read one record where the anomaly is", () => {
    expect(kcat("orders-eu-2", 118, "127.0.0.1:9092", "read_committed")).toBe(
      "kcat -b 127.0.0.1:9092 -C -t orders-eu -p 2 -o 118 -c 1 -e -X isolation.level=read_committed -f '%p %o %k %s\\n'",
    );
    expect(kcat("7", 118, null, null)).toBeNull();
    expect(kcat("a'b $(x)-0", 1, null, null)).toContain(`-t 'a'\\''b $(x)'`);
  });
  it("find the brokers in the header", () => {
    expect(bootstrap({ nodes: [{ kafka: "a:1" }, { kafka_addr: "b:2" }, 3] })).toBe("a:1,b:2");
    expect(bootstrap({ bootstrap: "c:3" })).toBe("c:3");
    expect(bootstrap(null)).toBeNull();
    expect(bootstrap({ nodes: [] })).toBeNull();
  });
  it("start the same run again", () => {
    const cluster = { driver: "testbed", bugs: ["ack-before-replication"] };
    expect(rerun({ cluster, workload: "queue", nemesis: ["kill", "pause"], seed: "18446744073709551615" })).toBe(
      "perjury run --cluster testbed --workload queue --nemesis kill,pause --seed 18446744073709551615 --bug ack-before-replication",
    );
    expect(rerun({ cluster, nemesis: [] })).toContain("--nemesis none");
    expect(rerun({})).toBeNull();
    expect(rerun(null)).toBeNull();
  });
});
