import { create } from "@bufbuild/protobuf";
import { pino } from "pino";
import type { FleetWorkflowRequest } from "../../../../src/control/cluster/fleet-workflows.js";
import {
  beginCopy,
  cleanCopy,
  dropCopy,
  endCopy,
  switchCopy,
} from "../../../../src/control/copy/copy-steps.js";
import {
  createTopologyManager,
  type TopologyManager,
} from "../../../../src/control/topology/topology-manager.js";
import { FleetWorkflowEngine } from "../../../../src/control/workflows/fleet-workflow-engine.js";
import type { WorkflowTuning } from "../../../../src/control/workflows/workflow-options.js";
import { CopyProgressSchema } from "../../../../src/gen/miroir/v1/copies_pb.js";
import {
  IndexSchema,
  NodeSchema,
  NodeState,
  ReplicaState,
  ShardCopyStep,
  type Topology,
  TopologySchema,
} from "../../../../src/gen/miroir/v1/topology_pb.js";
import { assignGroup } from "../../../../src/placement/assign.js";
import { openSqliteTaskStore } from "../../../../src/store/sqlite/sqlite-task-store.js";
import {
  type FencingToken,
  leaseScope,
  type TaskStore,
  type WorkflowRow,
  workflowId,
} from "../../../../src/store/task-store.js";
import { createManualWorld, type ManualWorld } from "../../../support/manual-world.js";

const SHARDS = 8;
const scope = leaseScope("leader");

/** A control plane's workflows over a real store and topology, with a writer that takes copies forward when a test says so. */
export class WorkflowRig {
  /** Every step of every copy that the writer took. */
  readonly steps: string[] = [];
  readonly forgotten: string[] = [];
  engine: FleetWorkflowEngine;
  topology: TopologyManager;
  #fence: FencingToken;
  #tuning: WorkflowTuning;

  private constructor(
    readonly world: ManualWorld,
    readonly store: TaskStore,
    topology: TopologyManager,
    fence: FencingToken,
    tuning: WorkflowTuning,
  ) {
    this.topology = topology;
    this.#fence = fence;
    this.#tuning = tuning;
    this.engine = this.#newEngine();
  }

  /** A fleet of so many nodes in one group, with indexes of eight shards. */
  static async start(nodes = 3, indexes = ["films"], tuning: WorkflowTuning = {}): Promise<WorkflowRig> {
    const world = createManualWorld();
    const store = await openSqliteTaskStore({ path: ":memory:", clock: world.clock });
    const fence = await lead(store, "a");
    const topology = managerOf(store, fleet(nodes, indexes));
    await topology.beginTerm(fence);
    const rig = new WorkflowRig(world, store, topology, fence, tuning);
    await rig.engine.resume();
    return rig;
  }

  async close(): Promise<void> {
    await this.stopEngine();
    await this.store.close();
  }

  async stopEngine(): Promise<void> {
    const stopped = this.engine.stop();
    await this.world.advance(1_000);
    await stopped;
  }

  /** Changes what is stored of a workflow behind the engine's back. */
  async rewrite(id: string, change: Partial<WorkflowRow>): Promise<void> {
    const row = await this.store.workflows.get(workflowId(id));
    if (row === undefined) throw new Error(`no workflow ${id} is stored`);
    await this.store.workflows.put({ ...row, ...change }, this.#fence);
  }

  /** The leader ends, wherever it is, and another one takes over with nothing but the store. */
  async changeLeader(): Promise<void> {
    await this.stopEngine();
    const lease = await this.store.lease.current(scope);
    if (lease !== undefined) await this.store.lease.release(lease);
    this.#fence = await lead(this.store, `b${this.#fence.term}`);
    this.topology = managerOf(this.store, create(TopologySchema));
    await this.topology.beginTerm(this.#fence);
    this.engine = this.#newEngine();
    await this.engine.resume();
    await this.world.advance(10);
  }

  /** Asks for a change that makes these nodes join or drain. */
  ask(request: Partial<FleetWorkflowRequest> & Pick<FleetWorkflowRequest, "kind">): Promise<string> {
    return this.engine.start({
      title: request.kind,
      nodeIds: [],
      removeNodeIds: [],
      indexUids: [],
      rebalance: false,
      shards: 0,
      maxDocumentsPerSecond: 0,
      begin: () => undefined,
      ...request,
    });
  }

  drain(id: string, rest: Partial<FleetWorkflowRequest> = {}): Promise<string> {
    const begin = (draft: Topology) => setState(draft, id, NodeState.DRAINING);
    return this.ask({ kind: "drain-node", nodeIds: [id], begin, ...rest });
  }

  /** The replica of an index on a node is stale from now on. */
  async miss(nodeId: string): Promise<void> {
    await this.topology.change("a miss", (draft) => {
      const [index] = draft.indexes;
      const replica = index?.replicas.find((candidate) => candidate.nodeId === nodeId);
      if (index === undefined || replica === undefined) throw new Error("no replica");
      replica.state = ReplicaState.STALE;
      index.generation += 1n;
    });
  }

  /** Takes a node in that is there already as one that joins. */
  async add(id: string): Promise<string> {
    await this.topology.change("a server", (draft) => {
      draft.nodes.push(nodeOf(id, NodeState.JOINING));
      draft.groups[0]?.nodeIds.push(id);
    });
    return await this.ask({ kind: "add-node", nodeIds: [id] });
  }

  /** Lets the writer take every copy one step further; false where there is none. */
  async write(): Promise<boolean> {
    let found = false;
    await this.topology.change("the writer", (draft) => {
      for (const index of draft.indexes) {
        const { copy } = index;
        if (copy === undefined) continue;
        found = true;
        this.steps.push(`${copy.id} ${ShardCopyStep[copy.step]}`);
        const fills =
          copy.splitShards > 0 ||
          copy.repairNodeIds.length > 0 ||
          copy.moves.some(({ toNodeId }) => toNodeId !== "");
        if (copy.step === ShardCopyStep.PLANNED && fills) {
          beginCopy(index, copy.id);
          index.generation += 1n;
        } else if (copy.step === ShardCopyStep.PLANNED || copy.step === ShardCopyStep.COPYING) {
          switchCopy(index, copy.id);
        } else if (copy.step === ShardCopyStep.SWITCHED) {
          if (index.placement.some(({ leavingNodeIds }) => leavingNodeIds.length > 0)) {
            dropCopy(index, copy.id);
            index.generation += 1n;
          } else endCopy(index, copy.id);
        } else if (copy.step === ShardCopyStep.DROPPING) cleanCopy(index, copy.id);
        else endCopy(index, copy.id);
      }
    });
    await this.world.advance(10);
    return found;
  }

  /** Works until nothing is under way any more. */
  async finish(): Promise<void> {
    for (let turn = 0; turn < 500; turn += 1) {
      await this.world.advance(100);
      if (this.engine.running() === undefined) return;
      await this.write();
    }
    throw new Error("the workflow does not end");
  }

  node(id: string) {
    return this.topology.current().nodes.find((node) => node.id === id);
  }

  /** Shard replicas that a node serves, over all indexes. */
  held(id: string): number {
    return this.topology
      .current()
      .indexes.flatMap(({ placement }) => placement)
      .filter(({ nodeIds }) => nodeIds.includes(id)).length;
  }

  /** Makes a node answer again, or not any more. */
  async setAway(id: string, away: boolean): Promise<void> {
    await this.topology.change("a probe", (draft) => {
      for (const node of draft.nodes) {
        if (node.id !== id) continue;
        if (away) node.unreachableSince = { $typeName: "google.protobuf.Timestamp", seconds: 1n, nanos: 0 };
        else delete node.unreachableSince;
      }
    });
  }

  #newEngine(): FleetWorkflowEngine {
    return new FleetWorkflowEngine({
      store: this.store,
      topology: this.topology,
      fence: () => this.#fence,
      world: this.world,
      logger: pino({ level: "silent" }),
      nodes: () => ({
        forget: async (id) => {
          this.forgotten.push(id);
          await this.topology.change("forgotten", (draft) => {
            draft.nodes = draft.nodes.filter((node) => node.id !== id);
            for (const group of draft.groups) group.nodeIds = group.nodeIds.filter((other) => other !== id);
          });
        },
      }),
      progressOf: () =>
        create(CopyProgressSchema, { documentsTotal: 10n, documentsCopied: 10n, bytesCopied: 100n }),
      tuning: this.#tuning,
    });
  }
}

/** Sets a node's state in a draft. */
function setState(draft: Topology, id: string, state: NodeState): void {
  for (const node of draft.nodes) if (node.id === id) node.state = state;
}

function nodeOf(id: string, state = NodeState.ACTIVE) {
  return create(NodeSchema, { id, url: `http://${id}.test`, state });
}

function fleet(count: number, uids: readonly string[]): Topology {
  const ids = Array.from({ length: count }, (_, at) => `node-${at}`);
  return create(TopologySchema, {
    epoch: { clusterId: "test", term: 0n, counter: 0n },
    replicationFactor: 2,
    defaultShards: SHARDS,
    nodes: ids.map((id) => nodeOf(id)),
    groups: [{ id: 0, nodeIds: ids }],
    indexes: [...uids].sort().map((uid, at) => {
      const instance = `aaaaaaa${"abcdefgh"[at] ?? "z"}`;
      const placed = assignGroup({
        instance,
        shards: SHARDS,
        replicationFactor: 2,
        nodes: ids.map((node) => ({ node })),
      });
      return create(IndexSchema, {
        uid,
        instance,
        generation: 1n,
        shards: SHARDS,
        placement: [...placed].map(([shard, nodeIds]) => ({ shard, nodeIds: [...nodeIds].sort() })),
        replicas: ids.map((nodeId) => ({ nodeId, state: ReplicaState.IN_SYNC })),
      });
    }),
  });
}

async function lead(store: TaskStore, holder: string): Promise<FencingToken> {
  const lease = await store.lease.acquire({ scope, holder, ttlMs: 86_400_000, aboveTerm: 0 });
  if (lease === undefined) throw new Error("the lease is taken");
  return { scope, holder, term: lease.term };
}

function managerOf(store: TaskStore, initial: Topology): TopologyManager {
  return createTopologyManager({ table: store.topology, logger: pino({ level: "silent" }), initial });
}
