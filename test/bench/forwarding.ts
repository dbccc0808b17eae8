import { type Fleet, startFleet } from "../support/fleet.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { type ProxyProcess, startProxyProcess } from "../support/proxy-process.js";
import { quantile } from "./quantiles.js";

const ROUNDS = 100;

/** Milliseconds until a write of one document was accepted. */
export interface ForwardingRow {
  readonly asked: "the index's writer" | "another proxy";
  readonly p50Ms: number;
  readonly p90Ms: number;
}

/** What it costs a write to be passed on: the same small writes, in turn, to the index's writer and to the other proxy. */
export async function benchForwarding(): Promise<readonly ForwardingRow[]> {
  const fleet = await startFleet({ nodes: 2, replicationFactor: 2 });
  try {
    await fleet.stopProxy();
    const [one, other] = [await startProxyProcess(fleet, "one"), await startProxyProcess(fleet, "other")];
    await write(one.api, 0);
    const [writer, asked] = (await writerOf(fleet)) === one.id ? [one, other] : [other, one];
    const times = new Map<ProxyProcess, number[]>([
      [writer, []],
      [asked, []],
    ]);
    for (let round = 1; round <= ROUNDS; round++) {
      for (const [proxy, list] of times) list.push(await write(proxy.api, round));
    }
    await Promise.all([writer.kill("SIGKILL"), asked.kill("SIGKILL")]);
    for (const list of times.values()) list.sort((a, b) => a - b);
    return [...times].map(([proxy, list]) => ({
      asked: proxy === writer ? "the index's writer" : "another proxy",
      p50Ms: quantile(list, 0.5),
      p90Ms: quantile(list, 0.9),
    }));
  } finally {
    await fleet.stop();
  }
}

async function write(api: MeilisearchHttp, id: number): Promise<number> {
  const began = performance.now();
  await api.ok("POST", "/indexes/films/documents?primaryKey=id", [{ id, title: "a film" }]);
  return performance.now() - began;
}

async function writerOf(fleet: Fleet): Promise<string | undefined> {
  const control = meilisearchHttp(`http://${fleet.controlAddress()}`);
  const { topology } = await control.ok<{
    topology: { indexes: readonly { writer?: { proxyId: string } }[] };
  }>("POST", "/miroir.v1.TopologyService/GetTopology", {});
  return topology.indexes[0]?.writer?.proxyId;
}
