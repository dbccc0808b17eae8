import { clone, equals } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import type { FleetChange } from "../../gen/miroir/v1/cluster_pb.js";
import { type Topology, TopologySchema } from "../../gen/miroir/v1/topology_pb.js";
import type { NodeClient } from "../../meilisearch/node-client.js";
import type { FleetPlan } from "../../placement/fleet-plan.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { describeChange } from "./describe-change.js";
import { busyWith } from "./fleet-change-error.js";
import { refuseTooFewNodes } from "./fleet-checks.js";
import { type PlanScope, planTopology } from "./fleet-goal.js";
import type { FleetWorkflowKind, FleetWorkflows } from "./fleet-workflows.js";
import { shardSizes } from "./shard-sizes.js";

/** What {@link ChangeRunner} works with. */
export interface ChangeRunnerOptions {
  readonly topology: TopologyManager;
  readonly workflows: FleetWorkflows;
  readonly admin: (nodeId: string) => NodeClient;
  readonly logger: Logger;
  /** Shards that are copied to or from one node at a time. */
  readonly shardsPerNode: number;
}

/** Documents that a node takes in each second, for estimates; measured on small documents, two cores for the whole fleet. */
const ASSUMED_DOCUMENTS_PER_SECOND = 2_000;

/** A change that an operator asks for. */
export interface WantedChange {
  readonly kind: FleetWorkflowKind;
  /** In words: `drain node-2`. */
  readonly title: string;
  readonly nodeIds?: readonly string[];
  readonly removeNodeIds?: readonly string[];
  readonly indexUids?: readonly string[];
  readonly shards?: number;
  readonly scope?: PlanScope;
  readonly maxDocumentsPerSecond: number;
  readonly warnings?: readonly string[];
  /** Whether groups may be left with fewer nodes than replicas; not unless given. */
  readonly forced?: boolean;
  /** Whether it is carried out only where it changes or copies anything; always unless given. */
  readonly optional?: boolean;
  /** Puts the goal into a topology. May throw to refuse; safe to do twice. */
  readonly begin: (draft: Topology) => void;
  /** What is copied, where that does not follow from the topology's goal. */
  readonly plan?: (topology: Topology) => FleetPlan;
}

/** Plans changes of the fleet, tells what they take, and hands them to the workflows. */
export class ChangeRunner {
  readonly #options: ChangeRunnerOptions;

  constructor(options: ChangeRunnerOptions) {
    this.#options = options;
  }

  /** @throws FleetChangeRefusedError (busy) where another change is being carried out */
  refuseBusy(): void {
    const running = this.#options.workflows.running();
    if (running !== undefined && running.makesWay !== true) throw busyWith(running);
  }

  /**
   * What a change would take.
   *
   * @param base the topology that it is planned from; the current one unless given
   * @throws FleetChangeRefusedError
   */
  async plan(wanted: WantedChange, base = this.#options.topology.current()): Promise<FleetChange> {
    return (await this.#planned(wanted, base)).change;
  }

  /** Plans a change and carries it out. @throws FleetChangeRefusedError */
  async carryOut(wanted: WantedChange): Promise<FleetChange> {
    this.refuseBusy();
    const { change, isIdle } = await this.#planned(wanted, this.#options.topology.current());
    if (isIdle && wanted.optional === true) return change;
    change.workflowId = await this.#options.workflows.start({
      kind: wanted.kind,
      title: wanted.title,
      nodeIds: wanted.nodeIds ?? [],
      removeNodeIds: wanted.removeNodeIds ?? [],
      indexUids: wanted.indexUids ?? [],
      rebalance: wanted.scope?.rebalance ?? false,
      shards: wanted.shards ?? 0,
      maxDocumentsPerSecond: wanted.maxDocumentsPerSecond,
      // Others may have changed the topology since the plan was made.
      begin: (draft) => {
        const before = clone(TopologySchema, draft);
        wanted.begin(draft);
        if (wanted.forced !== true) refuseTooFewNodes(before, draft);
      },
    });
    return change;
  }

  async #planned(
    wanted: WantedChange,
    base: Topology,
  ): Promise<{ readonly change: FleetChange; readonly isIdle: boolean }> {
    const { admin, logger, shardsPerNode } = this.#options;
    const topology = clone(TopologySchema, base);
    wanted.begin(topology);
    if (wanted.forced !== true) refuseTooFewNodes(base, topology);
    const plan = wanted.plan?.(topology) ?? planTopology(topology, wanted.scope);
    const change = describeChange({
      topology,
      plan,
      sizes: await shardSizes(base, admin, logger),
      documentsPerSecond: wanted.maxDocumentsPerSecond || ASSUMED_DOCUMENTS_PER_SECOND,
      shardsPerNode,
      warnings: wanted.warnings ?? [],
    });
    return { change, isIdle: plan.indexes.length === 0 && equals(TopologySchema, base, topology) };
  }
}
