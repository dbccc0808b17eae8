import { clone, create, type MessageInitShape } from "@bufbuild/protobuf";
import { CopyRefusedError } from "../../src/control/copy/copy-refusal.js";
import {
  beginCopy,
  cancelCopy,
  cleanCopy,
  dropCopy,
  endCopy,
  markStale,
  switchCopy,
} from "../../src/control/copy/copy-steps.js";
import { isMember, replicaOn } from "../../src/control/copy/shard-roles.js";
import { type PlannedCopy, startCopy } from "../../src/control/copy/start-copy.js";
import { changeNames, type NameChange } from "../../src/control/indexes/name-changes.js";
import {
  type AdvanceCopyRequestSchema,
  AdvanceCopyResponseSchema,
  ReportCopyResponseSchema,
} from "../../src/gen/miroir/v1/copies_pb.js";
import {
  CommitGenerationResponseSchema,
  CreateIndexResponseSchema,
  EnsureIndexResponseSchema,
  RemoveIndexResponseSchema,
  RenameIndexResponseSchema,
  SwapIndexesResponseSchema,
} from "../../src/gen/miroir/v1/indexes_pb.js";
import {
  AllocateTaskUidsResponseSchema,
  GetTaskResponseSchema,
  ListTasksResponseSchema,
  RegisterTasksResponseSchema,
  type Task,
  TaskSchema,
} from "../../src/gen/miroir/v1/tasks_pb.js";
import {
  type Index,
  IndexSchema,
  NodeState,
  ReplicaState,
  ShardCopyStep,
  type Topology,
  TopologySchema,
  type WriterSchema,
} from "../../src/gen/miroir/v1/topology_pb.js";
import { newInstance, physicalName } from "../../src/placement/physical-name.js";
import {
  ControlRefusedError,
  type ControlTransport,
  ControlUnavailableError,
} from "../../src/proxy/control-transport.js";
import { buildView } from "../../src/proxy/topology/build-view.js";
import type { TopologySource, TopologyView, WriteLease } from "../../src/proxy/topology/topology-view.js";
import type { SimulatedNode } from "./simulated-node.js";
import type { VirtualWorld } from "./virtual-world.js";

/** Probabilities of what goes wrong with one call. */
export interface ControlFaults {
  readonly unavailable: number;
  /** Had its effect, but the answer is lost. */
  readonly loseAnswer: number;
}

/** How indexes of the simulated cluster are laid out. */
export interface Layout {
  readonly shards: number;
  /** Copies of each shard. */
  readonly copies: number;
  readonly minInSync: number;
}

/** A control plane with the real one's compare-and-set semantics, in memory. Breaches of its rules by the writer are collected. */
export class SimulatedControl {
  faults: ControlFaults = { unavailable: 0, loseAnswer: 0 };
  readonly tasks = new Map<bigint, Task>();
  readonly breaches: string[] = [];
  /** Whether changes of names wait for tasks in front of them. */
  namesWait = false;
  private topology: Topology;
  private view: TopologyView;
  private nextUid = 0n;
  private readonly listeners = new Set<(view: TopologyView) => void>();
  private readonly leaseHolders = new Set<string>();
  /** When the lease of a session ended, by session. */
  private readonly leasesEnded = new Map<string, number>();

  constructor(
    private readonly world: VirtualWorld,
    private readonly nodes: ReadonlyMap<string, SimulatedNode>,
    private readonly layout: Layout,
  ) {
    this.topology = create(TopologySchema, {
      epoch: { clusterId: "simulated", term: 1n, counter: 1n },
      nodes: [...nodes.keys()].map((id) => ({ id, url: `http://${id}`, group: 0, state: NodeState.ACTIVE })),
      groups: [{ id: 0, nodeIds: [...nodes.keys()] }],
      replicationFactor: layout.copies,
      defaultShards: layout.shards,
      minInSync: layout.minInSync,
    });
    this.view = this.build();
  }

  /** The catalogue as it is. */
  current(): TopologyView {
    return this.view;
  }

  index(uid: string): Index | undefined {
    return this.topology.indexes.find((index) => index.uid === uid);
  }

  /** Gives the lease to a session, and to nobody else. */
  grant(session: string): void {
    for (const holder of this.leaseHolders) this.endLease(holder);
    this.leaseHolders.add(session);
  }

  /** The lease of a session runs out. */
  endLease(session: string): void {
    if (this.leaseHolders.delete(session)) this.leasesEnded.set(session, this.world.clock.monotonic());
  }

  /** Gives a session its lease back once its proxy, which sees `source`, holds the newest topology (invariant 2). */
  giveBack(session: string, source: TopologySource): void {
    if (source.current() === this.view) this.leaseHolders.add(session);
    else this.world.timers.after(5, () => this.giveBack(session, source));
  }

  lease(session: string): WriteLease {
    return {
      session,
      proxyId: `proxy-of-${session}`,
      state: () => {
        if (this.leaseHolders.has(session)) return { kind: "held" };
        const endedAt = this.leasesEnded.get(session);
        const none = { kind: "none", reason: "the lease ran out" } as const;
        return endedAt === undefined ? none : { ...none, endedAt };
      },
    };
  }

  /** A proxy's view of the topology, each one arriving a little late. */
  source(): TopologySource {
    let seen = this.view;
    const listeners = new Set<(view: TopologyView) => void>();
    this.listeners.add((view) => {
      this.world.timers.after(1 + this.world.seeded.below(20), () => {
        if (view.epoch.counter <= seen.epoch.counter) return;
        seen = view;
        for (const listener of listeners) listener(view);
      });
    });
    return {
      current: () => seen,
      onChange: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      waitFor: (predicate, signal) =>
        new Promise((resolve, reject) => {
          const listener = (view: TopologyView) => {
            if (!predicate(view)) return;
            listeners.delete(listener);
            signal.removeEventListener("abort", abort);
            resolve(view);
          };
          const abort = () => {
            listeners.delete(listener);
            reject(new Error("given up waiting"));
          };
          if (signal.aborted) abort();
          else {
            signal.addEventListener("abort", abort, { once: true });
            listeners.add(listener);
            listener(seen);
          }
        }),
    };
  }

  /** The transport of one proxy. */
  transport(): ControlTransport & { cut(): void } {
    let cut = false;
    const call = async <T>(effect: () => T): Promise<T> => {
      const { seeded, timers } = this.world;
      if (cut) await new Promise(() => undefined);
      await timers.sleep(1 + seeded.below(3));
      if (cut) await new Promise(() => undefined);
      if (seeded.chance(this.faults.unavailable))
        throw new ControlUnavailableError("the control plane is away");
      const answer = effect();
      await timers.sleep(1 + seeded.below(3));
      if (seeded.chance(this.faults.loseAnswer)) throw new ControlUnavailableError("the answer was lost");
      return answer;
    };
    const notSimulated = () => Promise.reject(new ControlUnavailableError("not simulated"));
    return {
      subscribe: () => {
        throw new Error("not simulated");
      },
      createKey: notSimulated,
      updateKey: notSimulated,
      deleteKey: notSimulated,
      setFeatures: notSimulated,
      createDump: notSimulated,
      export: notSimulated,
      createSnapshot: notSimulated,
      countTasks: notSimulated,
      compactTaskStore: notSimulated,
      compactIndex: notSimulated,
      advanceCopy: (request) => call(() => this.advanceCopy(request)),
      reportCopy: () => call(() => create(ReportCopyResponseSchema)),
      setResource: notSimulated,
      deleteTasks: notSimulated,
      cancelTasks: notSimulated,
      allocateTaskUids: ({ count }) =>
        call(() => {
          const firstUid = this.nextUid;
          this.nextUid += BigInt(count ?? 0);
          return create(AllocateTaskUidsResponseSchema, { firstUid, count: count ?? 0 });
        }),
      registerTasks: ({ tasks }) =>
        call(() => {
          for (const init of tasks ?? []) {
            const task = create(TaskSchema, init);
            if (!this.tasks.has(task.uid)) this.tasks.set(task.uid, task);
          }
          return create(RegisterTasksResponseSchema);
        }),
      getTask: ({ uid }) =>
        call(() => {
          const task = this.tasks.get(uid ?? -1n) ?? this.rebuilt(uid ?? -1n);
          if (task === undefined) throw new ControlRefusedError("not_found", "no such task");
          return create(GetTaskResponseSchema, { task });
        }),
      listTasks: () => call(() => create(ListTasksResponseSchema)),
      ensureIndex: ({ uid, primaryKey, writer }) =>
        call(() => this.ensureIndex(uid ?? "", primaryKey, writer)),
      createIndex: () => call(() => create(CreateIndexResponseSchema)),
      swapIndexes: ({ taskUid, swaps }) =>
        call(() => {
          const pairs = (swaps ?? []).map(({ leftUid = "", rightUid = "", rename = false }) => ({
            indexes: [leftUid, rightUid] as const,
            rename,
          }));
          return create(SwapIndexesResponseSchema, this.changeNames({ kind: "swap", swaps: pairs }, taskUid));
        }),
      renameIndex: ({ taskUid, uid = "", newUid = "", primaryKey }) =>
        call(() =>
          create(
            RenameIndexResponseSchema,
            this.changeNames({ kind: "rename", uid, newUid, primaryKey }, taskUid),
          ),
        ),
      removeIndex: ({ instance }) =>
        call(() => {
          this.change((draft) => {
            draft.indexes = draft.indexes.filter((index) => index.instance !== instance);
          });
          return create(RemoveIndexResponseSchema, epochOf(this.topology));
        }),
      commitGeneration: (request) =>
        call(() =>
          this.commitGeneration(
            request.instance ?? "",
            request.expectedGeneration ?? 0n,
            request.newGeneration ?? 0n,
            request.staleNodeIds ?? [],
            { proxyId: request.writer?.proxyId ?? "", session: request.writer?.session ?? "" },
            request.session ?? "",
            { id: request.copyId ?? "", step: request.copyStep ?? ShardCopyStep.UNSPECIFIED },
          ),
        ),
      close: () => undefined,
      cut: () => {
        cut = true;
      },
    };
  }

  /** A task nobody registered, as the real control plane puts it together from the nodes' logs. */
  private rebuilt(uid: bigint): Task | undefined {
    if (this.world.seeded.chance(0.5)) return undefined;
    const nodeTasks = [...this.nodes.values()].flatMap((node) =>
      node.tasks
        .filter(({ customMetadata }) => customMetadata?.endsWith(`.${uid}`))
        .map((task) => ({ nodeId: node.id, nodeTaskUid: task.uid })),
    );
    return nodeTasks.length === 0 ? undefined : create(TaskSchema, { uid, nodeTasks });
  }

  private ensureIndex(
    uid: string,
    primaryKey: string | undefined,
    writer: MessageInitShape<typeof WriterSchema> | undefined,
  ) {
    const known = this.index(uid);
    if (known === undefined) this.create(uid, writer);
    if (primaryKey !== undefined && this.index(uid)?.primaryKey === undefined) {
      this.change((draft) => {
        const index = draft.indexes.find((candidate) => candidate.uid === uid);
        if (index !== undefined) index.primaryKey = primaryKey;
      });
    }
    const index = this.index(uid);
    if (index === undefined) throw new Error("the index was not created");
    return create(EnsureIndexResponseSchema, {
      index,
      created: known === undefined,
      ...epochOf(this.topology),
    });
  }

  private create(uid: string, writer: MessageInitShape<typeof WriterSchema> | undefined): void {
    const instance = newInstance(this.world.random.bytes(8));
    const ids = [...this.nodes.keys()];
    const { shards, copies } = this.layout;
    const placement = Array.from({ length: shards }, (_, shard) => ({
      shard,
      nodeIds: Array.from({ length: copies }, (__, copy) => ids[(shard + copy) % ids.length] ?? "").sort(),
    }));
    const holding = ids.filter((id) => placement.some(({ nodeIds }) => nodeIds.includes(id)));
    for (const id of holding) this.nodes.get(id)?.createIndex(physicalName(instance, 1n));
    this.change((draft) => {
      draft.indexes.push(
        create(IndexSchema, {
          uid,
          instance,
          generation: 1n,
          ...(writer === undefined ? {} : { writer }),
          shards,
          settingsJson: "{}",
          createdAt: { seconds: 1n },
          updatedAt: { seconds: 1n },
          placement,
          replicas: holding.map((nodeId) => ({ nodeId, state: ReplicaState.IN_SYNC })),
        }),
      );
      draft.indexes.sort((a, b) => (a.uid < b.uid ? -1 : 1));
    });
  }

  private commitGeneration(
    instance: string,
    expected: bigint,
    generation: bigint,
    stale: readonly string[],
    writer: { readonly proxyId: string; readonly session: string },
    asking: string,
    copy: { readonly id: string; readonly step: ShardCopyStep },
  ) {
    const index = this.topology.indexes.find((candidate) => candidate.instance === instance);
    if (index === undefined) throw new ControlRefusedError("not_found", "no such index");
    const same = index.generation === generation && index.writer?.session === writer.session;
    if (!same) {
      if (index.generation !== expected) throw new ControlRefusedError("aborted", "another generation");
      const former = index.writer?.session ?? asking;
      if (former !== asking && this.leaseHolders.has(former))
        throw new ControlRefusedError("failed_precondition", "the writer of the index is alive");
      const firstWriter = index.writer === undefined && stale.length === 0;
      if (generation < expected || (generation === expected && !firstWriter)) {
        this.breaches.push(`generation ${expected} would become ${generation}`);
        throw new ControlRefusedError("invalid_argument", "the generation has to grow");
      }
      const good = (nodeId: string) => !stale.includes(nodeId) && isMember(replicaOn(index, nodeId)?.state);
      const bare = index.placement.find(
        ({ nodeIds, leavingNodeIds }) => ![...nodeIds, ...leavingNodeIds].some(good),
      );
      if (bare !== undefined) {
        this.breaches.push(`shard ${bare.shard} would lose its last copy: ${stale.join(", ")} stale`);
        throw new ControlRefusedError("failed_precondition", "a shard would lose its last copy");
      }
      this.change((draft) => {
        const next = draft.indexes.find((candidate) => candidate.instance === instance);
        if (next === undefined) return;
        next.generation = generation;
        next.writer = create(IndexSchema, { writer }).writer;
        markStale(next, new Set(stale));
        if (copy.id === "") return;
        refusing(() => (copy.step === ShardCopyStep.COPYING ? beginCopy : dropCopy)(next, copy.id));
      });
    }
    const committed = this.topology.indexes.find((candidate) => candidate.instance === instance);
    return create(CommitGenerationResponseSchema, {
      ...(committed === undefined ? {} : { index: committed }),
      ...epochOf(this.topology),
    });
  }

  /** Asks for a copy, or takes one back, as the control plane's planner does. False where it is refused. */
  planCopy(uid: string, copy: PlannedCopy): boolean {
    return this.attempt((draft) => {
      const index = draft.indexes.find((candidate) => candidate.uid === uid);
      if (index !== undefined) startCopy(draft, index.instance, copy);
    });
  }

  cancelCopy(uid: string): boolean {
    return this.attempt((draft) => {
      const index = draft.indexes.find((candidate) => candidate.uid === uid);
      if (index?.copy !== undefined) cancelCopy(index, index.copy.id);
    });
  }

  private attempt(edit: (draft: Topology) => void): boolean {
    try {
      this.change(edit);
      return true;
    } catch (error) {
      if (!(error instanceof CopyRefusedError)) throw error;
      return false;
    }
  }

  private advanceCopy(request: MessageInitShape<typeof AdvanceCopyRequestSchema>) {
    const { instance, copyId = "", expectedStep, nextStep, expectedGeneration, writer } = request;
    this.change((draft) => {
      const index = draft.indexes.find((candidate) => candidate.instance === instance);
      const held = index?.copy?.id === copyId ? index.copy.step : ShardCopyStep.UNSPECIFIED;
      if (index === undefined || held === nextStep) return;
      const isMine = index.writer?.session === writer?.session;
      if (held !== expectedStep || index.generation !== expectedGeneration || !isMine) {
        throw new ControlRefusedError("aborted", "the copy is elsewhere");
      }
      const steps = new Map([
        [ShardCopyStep.SWITCHED, switchCopy],
        [ShardCopyStep.CLEANING, cleanCopy],
      ]);
      refusing(() => (steps.get(nextStep ?? ShardCopyStep.UNSPECIFIED) ?? endCopy)(index, copyId));
    });
    return create(AdvanceCopyResponseSchema, epochOf(this.topology));
  }

  private changeNames(change: NameChange, task: bigint | undefined) {
    if (this.namesWait) return {};
    this.change((draft) => {
      if (draft.indexes.some((index) => index.namedByTask === task)) return;
      changeNames(draft, change, Number(task), 0);
    });
    return epochOf(this.topology);
  }

  private change(edit: (draft: Topology) => void): void {
    const draft = clone(TopologySchema, this.topology);
    edit(draft);
    if (draft.epoch !== undefined) draft.epoch.counter += 1n;
    this.topology = draft;
    this.view = this.build();
    for (const listener of this.listeners) listener(this.view);
  }

  private build(): TopologyView {
    return buildView(
      this.topology,
      new Map(
        [...this.nodes.keys()].map((nodeId) => [
          nodeId,
          { $typeName: "miroir.v1.NodeCredentials" as const, nodeId, writeKey: "write", adminKey: "admin" },
        ]),
      ),
    );
  }
}

/** What the copy refuses, as the control plane answers it. */
function refusing(step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!(error instanceof CopyRefusedError)) throw error;
    throw new ControlRefusedError("failed_precondition", error.message);
  }
}

function epochOf(topology: Topology) {
  return topology.epoch === undefined ? {} : { epoch: topology.epoch };
}
