import { readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "vitest";
import {
  createMiroirClient,
  type Index,
  type MiroirClient,
  NodeState,
  ReplicaState,
} from "../../src/client/index.js";
import { type Fleet, startFleet } from "../support/fleet.js";

/** The one index of a {@link FailingFleet}. */
export const INDEX = "films";
/** Its shards; each has two replicas on three nodes. */
const SHARDS = 6;

/** Three nodes with two copies of one index, to which things happen. */
export class FailingFleet {
  /** Documents that were added. */
  written = 0;
  /** Those of them whose tasks have succeeded: every search has to find them. */
  #certain = 0;

  private constructor(
    readonly fleet: Fleet,
    readonly client: MiroirClient,
  ) {}

  /** Starts it, with repairs that begin at once, and adds documents. */
  static async start(
    documents: number,
    controlConfig: Readonly<Record<string, unknown>> = {},
  ): Promise<FailingFleet> {
    const fleet = await startFleet({
      nodes: 3,
      replicationFactor: 2,
      shards: SHARDS,
      settingsCheckSeconds: 0,
      nodeWriteTimeoutMs: 1_500,
      controlConfig: { repair_delay_seconds: 0, ...controlConfig },
    });
    const client = createMiroirClient({ baseUrl: `http://${fleet.controlAddress()}` });
    const failing = new FailingFleet(fleet, client);
    await failing.write(documents);
    return failing;
  }

  /** Adds documents and waits until they are there. */
  async write(count: number, more: () => Readonly<Record<string, unknown>> = () => ({})): Promise<void> {
    const documents = Array.from({ length: count }, () => {
      const id = this.written++;
      return { id, title: `common film ${id}`, ...more() };
    });
    const path = `/indexes/${INDEX}/documents?primaryKey=id`;
    const { taskUid } = await this.fleet.api.ok<{ taskUid: number }>("POST", path, documents);
    await this.fleet.api.waitForTask(taskUid);
    this.#certain += count;
  }

  /** How many of the documents a search finds. */
  async found(): Promise<number> {
    const query = { q: "common", page: 1, hitsPerPage: 1 };
    const answer = await this.fleet.api.ok<{ totalHits: number }>("POST", `/indexes/${INDEX}/search`, query);
    return answer.totalHits;
  }

  async index(): Promise<Index> {
    const { index: entry } = await this.client.indexes.getIndex({ uid: INDEX });
    if (entry === undefined) throw new Error("the index is gone");
    return entry;
  }

  /** By position. */
  async nodeStates(): Promise<readonly NodeState[]> {
    const { nodes } = await this.client.cluster.listNodes({});
    return nodes.map(({ node }) => node?.state ?? NodeState.UNSPECIFIED);
  }

  /** Until some replica is not in sync any more. */
  async hurt(): Promise<void> {
    await expect
      .poll(async () => (await this.index()).replicas.every(({ state }) => state === ReplicaState.IN_SYNC), {
        timeout: 30_000,
        interval: 20,
      })
      .toBe(false);
  }

  /** Until every replica is in sync and every node active. */
  async settled(replicas = 3): Promise<void> {
    const state = async () => ({
      replicas: (await this.index()).replicas.map((replica) => replica.state),
      nodes: await this.nodeStates(),
    });
    await expect.poll(state, { timeout: 60_000, interval: 100 }).toEqual({
      replicas: Array(replicas).fill(ReplicaState.IN_SYNC),
      nodes: Array(3).fill(NodeState.ACTIVE),
    });
  }

  /** Until the proxy reads from every node: of two that it avoids at once it has to read one. */
  async readFromAll(): Promise<void> {
    const avoided = async () => {
      const { text } = await this.fleet.api.send("GET", "/_miroir/metrics");
      return /^miroir_nodes_avoided (\d+)$/m.exec(text)?.[1];
    };
    await expect.poll(avoided, { timeout: 30_000, interval: 50 }).toBe("0");
  }

  /** Shards whose replicas differ, after every one of them was compared. */
  async differing(): Promise<readonly number[]> {
    const shards: number[] = [];
    let compared = 0;
    for await (const { check } of this.client.verify.checkShards({ indexUid: INDEX })) {
      if (check === undefined || check.nodeIds.length < 2) continue;
      compared += 1;
      if (check.differing > 0n || check.error !== "") shards.push(check.shard);
    }
    expect(compared).toBe(SHARDS);
    return shards;
  }

  /** Searches all the time; gives what was wrong. */
  watch(): { stop(): Promise<readonly string[]> } {
    const wrong: string[] = [];
    let isOver = false;
    const searching = (async () => {
      while (!isOver) {
        const wanted = this.#certain;
        try {
          const total = await this.found();
          if (total < wanted) wrong.push(`${total} of ${wanted} documents`);
        } catch (error) {
          wrong.push(String(error));
        }
      }
    })();
    return {
      stop: async () => {
        isOver = true;
        await searching;
        return wrong;
      },
    };
  }

  /** Where a node keeps its database, and its log. */
  folderOf(at: number): string {
    return dirname(this.fleet.node(at).logFile);
  }

  /** Kills a node and changes what lies in its folder, then starts it again. */
  async restartWith(at: number, change: (folder: string) => void): Promise<void> {
    await this.fleet.node(at).kill("SIGKILL");
    change(this.folderOf(at));
    await this.fleet.node(at).restart();
  }
}

/** Deletes a node's data. */
export function emptyFolder(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (name !== "node.log") rmSync(join(folder, name), { recursive: true });
  }
}
