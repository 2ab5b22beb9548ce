// Commands that show a place of a log with a well-known tool.

import type { Json } from "../api/types";

/** Quotes for a POSIX shell. */
const quoted = (text: string): string => (/^[\w.:,/=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** The addresses of the nodes that a header's cluster names, joined as clients take them. */
export function bootstrap(cluster: Json | undefined): string | null {
  if (cluster === null || typeof cluster !== "object" || Array.isArray(cluster)) return null;
  const given = cluster["bootstrap"] ?? cluster["bootstrap_servers"];
  if (typeof given === "string") return given;
  const nodes = Array.isArray(cluster["nodes"]) ? cluster["nodes"] : [];
  const addresses = nodes.flatMap((n) => {
    if (n === null || typeof n !== "object" || Array.isArray(n)) return [];
    const address = n["kafka"] ?? n["kafka_addr"] ?? n["address"];
    return typeof address === "string" ? [address] : [];
  });
  return addresses.length === 0 ? null : addresses.join(",");
}

/** A kcat line that reads the records at an offset, if the key names a topic-partition. */
export function kcat(key: string, offset: number, servers: string | null, isolation: string | null): string | null {
  const cut = /^(.+)-(\d+)$/.exec(key);
  if (!cut) return null;
  const level = isolation === null ? "" : ` -X isolation.level=${quoted(isolation)}`;
  return `kcat -b ${servers === null ? '"$BOOTSTRAP"' : quoted(servers)} -C -t ${quoted(cut[1] ?? "")} -p ${cut[2]} -o ${offset} -c 1 -e${level} -f '%p %o %k %s\\n'`;
}

/** The command that starts the same run again, as far as the header tells. */
export function rerun(header: { [key: string]: Json } | null): string | null {
  if (header === null) return null;
  const cluster = header["cluster"];
  const driver =
    cluster !== null && typeof cluster === "object" && !Array.isArray(cluster) ? cluster["driver"] : undefined;
  const bugs =
    cluster !== null && typeof cluster === "object" && !Array.isArray(cluster) && Array.isArray(cluster["bugs"])
      ? cluster["bugs"]
      : [];
  if (typeof driver !== "string") return null;
  const words = ["perjury", "run", "--cluster", quoted(driver)];
  if (typeof header["workload"] === "string") words.push("--workload", quoted(header["workload"]));
  const nemesis = Array.isArray(header["nemesis"]) ? header["nemesis"].filter((n) => typeof n === "string") : [];
  words.push("--nemesis", nemesis.length === 0 ? "none" : quoted(nemesis.join(",")));
  if (typeof header["seed"] === "number" || typeof header["seed"] === "string")
    words.push("--seed", quoted(String(header["seed"])));
  for (const bug of bugs) if (typeof bug === "string") words.push("--bug", quoted(bug));
  return words.join(" ");
}
