import { fromBinary } from "@bufbuild/protobuf";
import { LEADER_SCOPE } from "../../../src/control/leader/leadership.js";
import {
  type Index,
  type Node,
  NodeState,
  ReplicaState,
  ShardCopyStep,
  TopologySchema,
} from "../../../src/gen/miroir/v1/topology_pb.js";
import type { FencingToken, LeaseTable, TaskStore, TopologyRow } from "../../../src/store/task-store.js";
import type { Finding } from "./finding.js";
import { isFence } from "./unfenced-store.js";

const SWITCHED = ShardCopyStep.SWITCHED;

type Method = (...parameters: unknown[]) => Promise<unknown>;

/** Stands in front of the shared store and looks at everything that takes effect in it (invariants 1, 3 and 4). */
export class StoreWatch {
  readonly findings: Finding[] = [];
  /** Changes of the topology that were stored. */
  changes = 0;
  /** Copies that have switched. */
  switches = 0;
  /** Leader terms that began. */
  terms = 0;
  /** The store, as all control processes are to use it. */
  readonly store: TaskStore;
  private highestTerm = 0;
  private saved = { term: 0, counter: 0 };
  private indexes: readonly Index[] = [];
  private nodes: readonly Node[] = [];

  constructor(store: TaskStore) {
    this.store = { ...store, lease: this.watchLease(store.lease) };
    for (const name of ["topology", "tasks", "nodeCursors", "nodeSettingsVersions", "workflows"] as const) {
      Object.assign(this.store, { [name]: this.watchTable(name, store[name]) });
    }
  }

  /** Whether every shard that a node holds has another copy in sync, by the topology stored last. */
  canLose(nodeId: string): boolean {
    return this.indexes.every(({ placement, replicas }) => {
      const others = new Set(
        replicas
          .filter((replica) => replica.nodeId !== nodeId && replica.state === ReplicaState.IN_SYNC)
          .map((replica) => replica.nodeId),
      );
      return placement.every(({ nodeIds }) => nodeIds.some((id) => others.has(id)));
    });
  }

  /** Whether the topology says that a node is away: one that joins or is drained is called so all the same. */
  isMissed(nodeId: string): boolean {
    return this.nodes.some(
      ({ id, state, unreachableSince }) =>
        id === nodeId && (state === NodeState.UNREACHABLE || unreachableSince !== undefined),
    );
  }

  /** Copies that are under way. */
  copies(): number {
    return this.indexes.filter(({ copy }) => copy !== undefined).length;
  }

  /** How far the copies under way are, by the instance of their index. */
  copySteps(): ReadonlyMap<string, string> {
    return new Map(
      this.indexes.flatMap(({ instance, copy }) =>
        copy === undefined ? [] : [[instance, `${copy.id} ${ShardCopyStep[copy.step]}`] as const],
      ),
    );
  }

  private watchLease(table: LeaseTable): LeaseTable {
    return {
      acquire: async (request) => {
        const lease = await table.acquire(request);
        if (lease !== undefined && request.scope === LEADER_SCOPE && lease.term > this.highestTerm) {
          this.highestTerm = lease.term;
          this.terms++;
        }
        return lease;
      },
      renew: (token, ttlMs) => table.renew(token, ttlMs),
      release: (token) => table.release(token),
      current: (scope) => table.current(scope),
    };
  }

  /** A table whose fenced calls are looked at once they have taken effect. */
  private watchTable<T extends object>(name: string, table: T): T {
    return new Proxy(table, {
      get: (_, member) => {
        const value: unknown = Reflect.get(table, member);
        if (typeof value !== "function") return value;
        const method = value.bind(table) as Method;
        return async (...parameters: unknown[]) => {
          const answer = await method(...parameters);
          const fence = parameters.find(isFence);
          if (fence !== undefined) this.hadEffect(`${name}.${String(member)}`, fence);
          if (name === "topology" && member === "save") this.see(parameters[1] as TopologyRow);
          return answer;
        };
      },
    });
  }

  private hadEffect(call: string, { term, holder }: FencingToken): void {
    if (term >= this.highestTerm) return;
    this.findings.push({
      kind: "two-leaders",
      detail: `${call} of ${holder} took effect under term ${term}, after term ${this.highestTerm} had begun`,
    });
  }

  private see(row: TopologyRow): void {
    this.changes++;
    const { term, counter } = row;
    if (term < this.saved.term || (term === this.saved.term && counter <= this.saved.counter)) {
      this.findings.push({
        kind: "epoch-went-back",
        detail: `${term}.${counter} was stored over ${this.saved.term}.${this.saved.counter}`,
      });
    }
    this.saved = { term, counter };
    const before = new Map(this.indexes.map((index) => [index.instance, index.copy]));
    const topology = fromBinary(TopologySchema, row.document);
    this.nodes = topology.nodes;
    this.indexes = topology.indexes;
    for (const { instance, copy } of this.indexes) {
      if (copy?.step === SWITCHED && before.get(instance)?.step !== SWITCHED) this.switches++;
    }
    for (const index of this.indexes) {
      const good = new Set(
        index.replicas
          .filter(({ state }) => state === ReplicaState.IN_SYNC || state === ReplicaState.SUSPECT)
          .map(({ nodeId }) => nodeId),
      );
      const bare = index.placement.find(({ nodeIds }) => !nodeIds.some((nodeId) => good.has(nodeId)));
      if (bare === undefined) continue;
      this.findings.push({
        kind: "last-copy-gone",
        detail: `epoch ${term}.${counter} leaves shard ${bare.shard} of ${index.uid} without a copy in sync`,
      });
    }
  }
}
