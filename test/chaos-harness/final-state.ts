/** What the nodes hold once a fleet has come to rest, and what the fleet says of it itself. */
import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { request } from "undici";
import {
  createMiroirClient,
  DifferenceKind,
  type Index,
  type MiroirClient,
  ReplicaState,
} from "../../src/client/index.js";
import { SHARD_FIELD, shardCode } from "../../src/placement/injected-fields.js";
import { physicalName } from "../../src/placement/physical-name.js";
import { type ChaosFleet, NODE_KEY } from "./chaos-fleet.js";
import type { ReplicaContents } from "./checker/check-replicas.js";
import type { Violation } from "./checker/violation.js";

const LOOK_MS = 250;
const EVERY_DOCUMENT = 100_000;

/** The first value that is not undefined; rejects after `patienceMs` with the last error. */
export async function eventually<T>(
  what: string,
  patienceMs: number,
  attempt: () => Promise<T | undefined>,
): Promise<T> {
  const end = performance.now() + patienceMs;
  let last: unknown;
  while (performance.now() < end) {
    try {
      const value = await attempt();
      if (value !== undefined) return value;
    } catch (error) {
      last = error;
    }
    await sleep(LOOK_MS);
  }
  throw new Error(`${what} did not come about in ${patienceMs} ms`, { cause: last });
}

/** Asks every control replica in turn until one does not say that another one leads. */
export async function onLeader<T>(
  fleet: ChaosFleet,
  call: (control: MiroirClient) => Promise<T>,
): Promise<T> {
  let last: unknown;
  for (const { url } of fleet.controls) {
    try {
      return await call(createMiroirClient({ baseUrl: url, timeoutMs: 5_000 }));
    } catch (error) {
      last = error;
      if (!(error instanceof ConnectError) || error.code !== Code.Unavailable) throw error;
    }
  }
  throw new Error("no control replica leads", { cause: last });
}

/** What every replica that serves a shard holds of it, read from the nodes themselves. */
export async function readReplicas(control: MiroirClient): Promise<ReplicaContents[]> {
  const { topology } = await control.topology.getTopology({});
  const urls = new Map(topology?.nodes.map(({ id, url }) => [id, url]));
  const contents: ReplicaContents[] = [];
  for (const index of topology?.indexes ?? []) {
    for (const { nodeId, state } of index.replicas) {
      const shards = index.placement
        .filter(({ nodeIds }) => nodeIds.includes(nodeId))
        .map(({ shard }) => shard);
      if (state !== ReplicaState.IN_SYNC || shards.length === 0) continue;
      const documents = await documentsOn(urls.get(nodeId) ?? "", index, shards);
      for (const shard of shards) {
        const own = documents.filter((document) => document[SHARD_FIELD] === shardCode(shard));
        contents.push({ index: index.uid, shard, node: nodeId, documents: own.map(canonical).sort() });
      }
    }
  }
  return contents;
}

/** Replicas that hold less than they should, as `index on node`; those of a fleet at rest were all repaired. */
export async function behind(control: MiroirClient): Promise<readonly string[]> {
  const { topology } = await control.topology.getTopology({});
  return (topology?.indexes ?? []).flatMap(({ uid, replicas, copy }) => [
    ...replicas
      .filter(({ state }) => state !== ReplicaState.IN_SYNC)
      .map(({ nodeId }) => `${uid} on ${nodeId}`),
    ...(copy === undefined ? [] : [`${uid} is being copied`]),
  ]);
}

/** What `miroir ctl verify --deep` finds, but for indexes that nodes were left with while they were away: those are collected after hours. */
export async function verifyDeep(control: MiroirClient): Promise<readonly Violation[]> {
  const found: Violation[] = [];
  for await (const { event } of control.verify.verify({ deep: true })) {
    if (event.case !== "difference" || event.value.kind === DifferenceKind.UNEXPECTED_INDEX) continue;
    const { indexUid, nodeId, shard, documentId, detail } = event.value;
    found.push({
      kind: "verify-failed",
      detail: `${indexUid} shard ${shard ?? "-"} ${nodeId} ${documentId}: ${detail}`,
    });
  }
  return found;
}

async function documentsOn(
  url: string,
  { instance, generation }: Index,
  shards: readonly number[],
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const filter = `${SHARD_FIELD} IN [${shards.map((shard) => `"${shardCode(shard)}"`).join(", ")}]`;
  const answer = await request(`${url}/indexes/${physicalName(instance, generation)}/documents/fetch`, {
    method: "POST",
    headers: { authorization: `Bearer ${NODE_KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ filter, limit: EVERY_DOCUMENT }),
  });
  const text = await answer.body.text();
  if (answer.statusCode !== 200) throw new Error(`${url} answers ${answer.statusCode}: ${text}`);
  return (JSON.parse(text) as { results: Record<string, unknown>[] }).results;
}

function canonical(document: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(Object.entries(document).sort(([a], [b]) => (a < b ? -1 : 1)));
}
