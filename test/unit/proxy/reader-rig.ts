import { expect } from "vitest";
import { HedgeBudget } from "../../../src/proxy/read/hedge-budget.js";
import { createNodeHealth, type NodeHealth } from "../../../src/proxy/read/node-health.js";
import { createReplicaLatencies, type ReplicaLatencies } from "../../../src/proxy/read/replica-latency.js";
import { createReplicaSelection } from "../../../src/proxy/read/replica-selection.js";
import type { ShardRead, ShardReadResult } from "../../../src/proxy/read/shard-read.js";
import { createShardReader, type ShardReader } from "../../../src/proxy/read/shard-reader.js";
import { createManualWorld, type ManualWorld } from "../../support/manual-world.js";
import { createFakeNodes, type FakeNodes } from "./fake-nodes.js";
import {
  indexView,
  type Layout,
  nodeViews,
  placeShards,
  type SettableTopology,
  settableTopology,
  topologyView,
} from "./views.js";

/** A node that takes longer is not waited for alone. */
export const HEDGE_MS = 500;
/** The longest that a node is waited for. */
export const TIMEOUT_MS = 10_000;

/** A read of which nothing matters but who answers it. */
export const probe: ShardRead = { requests: () => [{ method: "POST", path: "/probe", body: "{}" }] };

/** A reader over nodes in memory, in a world whose time stands still. */
export interface ReaderRig {
  readonly world: ManualWorld;
  readonly nodes: FakeNodes;
  readonly topology: SettableTopology;
  readonly health: NodeHealth;
  readonly latencies: ReplicaLatencies;
  readonly reader: ShardReader;
  /** Why second replicas were asked, and what became of hedges. */
  readonly tries: string[];
  /** Reads and moves time on until the read has ended. */
  read(options?: { ms?: number; read?: ShardRead; signal?: AbortSignal }): Promise<ShardReadResult>;
}

/** Nodes that hold one index, `books`. */
export function setUpReader(layout: Layout, hedgePercent = 5): ReaderRig {
  const world = createManualWorld();
  const nodes = createFakeNodes(world, (request) => ({ status: 200, body: { by: request.node } }));
  const topology = settableTopology();
  const views = nodeViews(layout);
  topology.set(topologyView(views, [indexView("books", "id", placeShards(layout, views))]));
  const health = createNodeHealth(world, async (node) => {
    await nodes.transport.request(
      { id: node, url: "" },
      { method: "GET", path: "/health", timeoutMs: 1_000 },
    );
  });
  const tries: string[] = [];
  const latencies = createReplicaLatencies(world.clock);
  const reader = createShardReader(
    {
      world,
      topology,
      transport: nodes.transport,
      health,
      selection: createReplicaSelection({ health, latencies, random: world.random }),
      latencies,
      hedges: new HedgeBudget(hedgePercent),
      metrics: {
        secondTry: (reason) => tries.push(reason),
        hedge: (outcome) => tries.push(outcome),
        sampled: () => tries.push("sample"),
      },
    },
    { hedgeDelayMs: HEDGE_MS, nodeTimeoutMs: TIMEOUT_MS, readTimeoutMs: 30_000 },
  );
  return {
    world,
    nodes,
    topology,
    health,
    latencies,
    reader,
    tries,
    async read({ ms = 60_000, read = probe, signal = new AbortController().signal } = {}) {
      let outcome: { readonly result: ShardReadResult } | { readonly error: unknown } | undefined;
      reader.read("books", read, signal).then(
        (result) => {
          outcome = { result };
        },
        (error: unknown) => {
          outcome = { error };
        },
      );
      for (let passed = 0; outcome === undefined && passed < ms; passed += 10) await world.advance(10);
      if (outcome === undefined) throw new Error(`the read has not ended after ${ms} ms`);
      if ("error" in outcome) throw outcome.error;
      return outcome.result;
    },
  };
}

/** Every shard exactly once: served or missing. */
export function expectWhole(result: ShardReadResult, shards: number, missing: readonly number[] = []): void {
  const served = result.answers.flatMap(({ ask }) => ask.shards);
  expect([...served, ...result.missing].sort((a, b) => a - b)).toEqual(
    Array.from({ length: shards }, (_, shard) => shard),
  );
  expect(result.missing).toEqual(missing);
}
