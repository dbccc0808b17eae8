import type { Task } from "../../gen/miroir/v1/tasks_pb.js";
import { createNodeClient } from "../../meilisearch/node-client.js";
import type { NodeTransport } from "../../meilisearch/transport.js";
import type { ShardHasher } from "../../placement/shard.js";
import { timeOrderedUuid } from "../../runtime/uuid.js";
import type { World } from "../../runtime/world.js";
import { createAdmission } from "../read/admission.js";
import { DefaultPrompts } from "../read/chat-prompts.js";
import { admittedSearch } from "../read/coalesced-search.js";
import { createDocumentService } from "../read/documents.js";
import { createFacetSearchService } from "../read/facet-search.js";
import { createFieldsService } from "../read/fields.js";
import { HedgeBudget } from "../read/hedge-budget.js";
import { createMultiSearchService } from "../read/multi-search.js";
import { createNodeAnswers } from "../read/node-answers.js";
import { createNodeHealth, type NodeHealth } from "../read/node-health.js";
import { createNodeRefusals } from "../read/node-refusals.js";
import { createRenderService } from "../read/render-template.js";
import { createReplicaLatencies } from "../read/replica-latency.js";
import { createReplicaSelection } from "../read/replica-selection.js";
import { createSearchService } from "../read/search.js";
import { createSettingsReader } from "../read/settings-read.js";
import { createShardReader, type ShardReader } from "../read/shard-reader.js";
import { createSimilarService } from "../read/similar.js";
import { createStatsService } from "../read/stats.js";
import { readTaskDocuments } from "../read/task-documents.js";
import { createVersionReader } from "../read/version.js";
import type { TopologySource } from "../topology/topology-view.js";
import { overloaded } from "./api-errors.js";
import type { ProxyConfig } from "./config.js";
import type { ProxyMetrics } from "./metrics.js";

/** Watches which nodes answer. */
export function createHealth(world: World, topology: TopologySource, transport: NodeTransport): NodeHealth {
  return createNodeHealth(world, async (nodeId) => {
    const node = topology.current()?.nodes.get(nodeId);
    if (node === undefined) return;
    await createNodeClient(transport, node.writeAddress).health(1_000);
  });
}

/** The services that read from nodes: what they share is bounded together. */
export function createReads(
  {
    world,
    topology,
    metrics,
  }: { readonly world: World; readonly topology: TopologySource; readonly metrics: ProxyMetrics },
  config: ProxyConfig,
  transport: NodeTransport,
  health: NodeHealth,
  hasher: ShardHasher,
) {
  const { unavailableShardPolicy } = config;
  const latencies = createReplicaLatencies(world.clock, config.adaptiveReads);
  const selection = createReplicaSelection({ health, latencies, random: world.random }, config.readSpread);
  const hedges = new HedgeBudget(config.hedgePercent);
  const reading = { world, topology, transport, health, selection, latencies, hedges, metrics };
  const direct = createShardReader(reading, config);
  const { maxConcurrentReads: maxRunning, maxQueuedReads: maxWaiting } = config;
  const limits = {
    maxRunning,
    maxWaiting,
    waitMs: config.queueWaitMs,
    overloadWaitMs: config.overloadWaitMs,
  };
  const admission = createAdmission(world, limits, (reason) => {
    metrics.shed("reads");
    return overloaded(reason);
  });
  const admitted: ShardReader = {
    async read(...read) {
      const result = await direct.read(...read);
      if (result.missing.length > 0) metrics.degraded("read");
      return result;
    },
  };
  const reader: ShardReader = {
    read: (indexUid, read, signal, shards) =>
      admission.run(signal, () => admitted.read(indexUid, read, signal, shards)),
  };
  metrics.gauge(
    "miroir_replicas_slow",
    "Replicas spared because they take much longer than their peers.",
    () => latencies.slow(),
  );
  metrics.gauge("miroir_reads_running", "Reads under way.", () => admission.running);
  metrics.gauge("miroir_reads_waiting", "Reads waiting for their turn.", () => admission.waiting);
  const refusals = createNodeRefusals(transport, topology, health);
  const searching = { topology, reader, refusals, unavailableShardPolicy };
  // A search has its turn as a whole, with all reads that it takes.
  const search = admittedSearch(createSearchService({ ...searching, hasher, reader: admitted }), {
    admission,
    coalesces: config.coalesceSearches,
    maxJoined: maxWaiting,
    onJoin: () => metrics.coalesced(),
  });
  const nodes = createNodeAnswers(transport, topology, health);
  const documents = createDocumentService({ topology, reader, refusals, hasher, unavailableShardPolicy });
  return {
    refusals,
    search,
    multiSearch: createMultiSearchService({
      ...searching,
      search,
      newRequestUid: () => timeOrderedUuid(world),
    }),
    facetSearch: createFacetSearchService({ topology, reader, refusals, unavailableShardPolicy }),
    similar: createSimilarService({ topology, reader, refusals, hasher, unavailableShardPolicy }),
    fields: createFieldsService({ topology, reader, refusals, unavailableShardPolicy }),
    documents,
    render: createRenderService({ topology, nodes, documents, hasher }),
    defaultPrompts: new DefaultPrompts(nodes),
    settings: createSettingsReader(reader, topology),
    stats: createStatsService({ topology, reader, transport, unavailableShardPolicy }),
    version: createVersionReader(world, topology, transport),
    taskDocuments: (task: Task, signal: AbortSignal) => readTaskDocuments(transport, topology, task, signal),
  };
}
