import type { Logger } from "pino";
import { type Epoch, type Index, ReplicaState } from "../../gen/miroir/v1/topology_pb.js";
import { MeilisearchError } from "../../meilisearch/errors.js";
import type { NodeClient } from "../../meilisearch/node-client.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { physicalName } from "../../placement/physical-name.js";
import { createSharedAbort } from "../../runtime/abort.js";
import type { World } from "../../runtime/world.js";
import { displayedAfter, settingsFingerprint, toClientSettings } from "../../settings/canonical-settings.js";
import { carriesAdditions, nodeFingerprint } from "../../settings/settings-drift.js";
import {
  type FencingToken,
  type IndexInstance,
  nodeId,
  type TaskRow,
  type TaskStore,
  type TaskUid,
} from "../../store/task-store.js";
import type { ControlMetrics } from "../metrics.js";
import type { TaskVerdict } from "../tasks/aggregate.js";
import { findInstance, markSuspect } from "../tasks/index-replicas.js";
import type { TopologyManager } from "../topology/topology-manager.js";

/** What {@link SettingsCommits} works with. */
export interface SettingsCommitsOptions {
  readonly store: TaskStore;
  readonly topology: TopologyManager;
  readonly fence: () => FencingToken;
  readonly world: World;
  readonly logger: Logger;
  readonly metrics: ControlMetrics;
  /** A client with the node's admin key. */
  readonly admin: (nodeId: string) => NodeClient;
  /** Resolves when the connected proxies know an epoch, or cannot be waited for any longer. */
  readonly acknowledged?: (epoch: Epoch) => Promise<void>;
  /** Settings that nobody registered a change of are not the same everywhere, or lack Miroir's additions. */
  readonly onDrift: (instance: IndexInstance) => void;
  /** Records the outcome of a settings task. */
  readonly conclude: (
    verdicts: readonly { readonly row: TaskRow; readonly verdict: TaskVerdict }[],
  ) => Promise<void>;
}

/** Milliseconds between two attempts to read settings back. */
const RETRY_MS = 100;
/** Attempts with every node answering and no other change open, after which different settings are taken as a divergence. */
const PATIENCE = 5;

interface Change {
  readonly row: TaskRow;
  readonly verdict: TaskVerdict;
}

interface Work {
  /** Sent and not concluded. */
  readonly open: Set<TaskUid>;
  /** Final on the nodes, in the order in which they became so. */
  readonly decided: Map<TaskUid, Change>;
  running: boolean;
}

type ReadBack =
  | {
      readonly kind: "equal";
      /** As clients see them. */
      readonly settings: Record<string, unknown>;
      readonly nodeSettings: Readonly<Record<string, unknown>>;
      readonly nodeIds: readonly string[];
    }
  | { readonly kind: "different"; readonly byFingerprint: ReadonlyMap<string, readonly string[]> }
  /** A node did not answer, or does not know the index under its name yet. */
  | { readonly kind: "later"; readonly error: unknown };

/**
 * Commits settings changes (design §8): when all node tasks of a change are final, the settings are read back from
 * every in-sync replica; equal ones become the index's settings under the next version, in the topology, and only
 * then, once the connected proxies know them, does the client's task succeed. A change that failed everywhere leaves everything as it was. A replica on which it failed, or
 * whose settings differ, becomes suspect, which asks the index's writer for a new generation without it.
 *
 * Changes that follow each other closely are committed together, once none is under way on any node.
 */
export class SettingsCommits {
  readonly #options: SettingsCommitsOptions;
  readonly #work = new Map<IndexInstance, Work>();
  readonly #running = new Set<Promise<void>>();
  readonly #stop = createSharedAbort();

  constructor(options: SettingsCommitsOptions) {
    this.#options = options;
  }

  /** A change has been sent to the nodes. Readers are told by `settings_changing`. */
  async opened(instance: IndexInstance, uid: TaskUid): Promise<void> {
    this.#of(instance).open.add(uid);
    const index = findInstance(this.#options.topology.current(), instance);
    if (index === undefined || index.settingsChanging) return;
    await this.#options.topology.change(`settings of index ${index.uid} are changing`, (draft) => {
      const target = findInstance(draft, instance);
      if (target !== undefined) target.settingsChanging = true;
    });
  }

  /** The node tasks of a change are final. */
  decide(row: TaskRow, verdict: TaskVerdict): void {
    if (row.instance === null) return;
    const work = this.#of(row.instance);
    work.open.add(row.uid);
    if (work.decided.has(row.uid)) return;
    work.decided.set(row.uid, { row, verdict });
    this.#run(row.instance, work);
  }

  /** Whether a change of an index's settings is under way, which the topology may not tell of yet. */
  isOpen(instance: string): boolean {
    return this.#work.has(instance as IndexInstance);
  }

  /**
   * Reads an index's settings back after a change without a registered task: commits what its replicas agree on, which is what
   * became of a change whose registration was lost. Anything else is a drift, to be repaired.
   */
  reconcile(instance: IndexInstance): void {
    const work = this.#of(instance);
    if (!work.running && work.open.size === 0) this.#run(instance, work);
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("the control plane stops"));
    await Promise.allSettled(this.#running);
  }

  #of(instance: IndexInstance): Work {
    let work = this.#work.get(instance);
    if (work === undefined) {
      work = { open: new Set(), decided: new Map(), running: false };
      this.#work.set(instance, work);
    }
    return work;
  }

  #run(instance: IndexInstance, work: Work): void {
    if (work.running) return;
    work.running = true;
    const run = this.#settle(instance, work)
      .catch((error: unknown) => {
        if (!this.#stop.signal.aborted) {
          this.#options.logger.error({ err: error, instance }, "could not commit a settings change");
        }
      })
      .finally(() => {
        work.running = false;
        this.#running.delete(run);
        if (work.open.size === 0) this.#work.delete(instance);
      });
    this.#running.add(run);
  }

  async #settle(instance: IndexInstance, work: Work): Promise<void> {
    const { world, topology, logger } = this.#options;
    let patience = PATIENCE;
    for (;;) {
      const changes = [...work.decided.values()];
      const index = findInstance(topology.current(), instance);
      const nothingTaken =
        changes.length > 0 && changes.every(({ verdict }) => verdict.status !== "succeeded");
      if (
        index === undefined ||
        (nothingTaken && changes.every(({ verdict }) => verdict.divergent.length === 0))
      ) {
        await this.#finish(instance, work, changes, undefined);
        if (work.decided.size === 0) return;
        continue;
      }
      if (changes.length === 0 && (await this.#isDrift(index))) {
        this.#options.onDrift(instance);
        return;
      }
      const divergent = new Set(changes.flatMap(({ verdict }) => verdict.divergent));
      const read = await this.#readBack(index, divergent);
      if (read.kind === "equal") {
        await this.#finish(instance, work, changes, read);
        if (work.decided.size === 0) return;
        continue;
      }
      const underWay = [...work.open].some((uid) => !work.decided.has(uid));
      if (read.kind === "different" && !underWay) {
        patience -= 1;
        if (patience <= 0) {
          await this.#suspectOdd(index, read.byFingerprint);
          patience = PATIENCE;
          continue;
        }
      } else if (read.kind === "later") {
        logger.debug({ err: read.error, index: index.uid }, "settings cannot be read back yet");
      }
      await world.timers.sleep(RETRY_MS, this.#stop.signal);
    }
  }

  /** Whether replicas differ, or lack Miroir's additions, so that what they say cannot be committed. */
  async #isDrift(index: Index): Promise<boolean> {
    const read = await this.#readBack(index, new Set());
    if (read.kind === "later") return false;
    return read.kind === "different" || !carriesAdditions(read.nodeSettings);
  }

  async #readBack(index: Index, except: ReadonlySet<string>): Promise<ReadBack> {
    const nodeIds = index.replicas
      .filter((replica) => replica.state === ReplicaState.IN_SYNC && !except.has(replica.nodeId))
      .map((replica) => replica.nodeId);
    const asked = nodeIds.length > 0 ? nodeIds : index.replicas.map((replica) => replica.nodeId);
    const name = physicalName(index.instance, index.generation);
    const byFingerprint = new Map<string, string[]>();
    let nodeSettings: Record<string, unknown> = {};
    try {
      const answers = await Promise.all(asked.map((id) => this.#options.admin(id).settings(name)));
      for (const [at, answer] of answers.entries()) {
        const fingerprint = nodeFingerprint(answer);
        const id = asked[at] as string;
        byFingerprint.set(fingerprint, [...(byFingerprint.get(fingerprint) ?? []), id]);
        nodeSettings = answer;
      }
    } catch (error) {
      if (error instanceof NodeUnavailableError || error instanceof MeilisearchError)
        return { kind: "later", error };
      throw error;
    }
    return byFingerprint.size === 1
      ? { kind: "equal", settings: toClientSettings(nodeSettings), nodeSettings, nodeIds: asked }
      : { kind: "different", byFingerprint };
  }

  async #finish(
    instance: IndexInstance,
    work: Work,
    changes: readonly Change[],
    read: (ReadBack & { kind: "equal" }) | undefined,
  ): Promise<void> {
    const { topology, conclude, metrics, acknowledged } = this.#options;
    const concluded = new Set(changes.map(({ row }) => row.uid));
    const remaining = [...work.open].some((uid) => !concluded.has(uid));
    let version: bigint | undefined;
    const taken = changes
      .filter(({ verdict }) => verdict.status === "succeeded")
      .sort((a, b) => (a.row.uid < b.row.uid ? -1 : 1));
    const next = await topology.change("settings", (draft) => {
      const index = findInstance(draft, instance);
      if (index === undefined) return;
      for (const { verdict } of changes) markSuspect(draft, instance, verdict.divergent);
      if (!remaining) index.settingsChanging = false;
      if (read === undefined) return;
      const settingsJson = withDisplayed(read.settings, index.settingsJson, taken);
      if (taken.length === 0 && settingsJson === index.settingsJson) return;
      index.settingsJson = settingsJson;
      index.settingsVersion += 1n;
      version = index.settingsVersion;
    });
    if (read !== undefined && version !== undefined)
      await this.#recordVersions(instance, read, Number(version));
    // Who saw the task succeed and asks for the settings is to find them.
    if (version !== undefined && next.epoch !== undefined) await acknowledged?.(next.epoch);
    await conclude(changes);
    for (const { row, verdict } of changes) {
      work.decided.delete(row.uid);
      work.open.delete(row.uid);
      metrics.settingsChanges.inc({ outcome: verdict.status });
    }
    // Nodes whose documents it suited have made it nevertheless.
    if (changes.some(({ verdict }) => verdict.status === "failed")) this.#options.onDrift(instance);
  }

  async #recordVersions(
    instance: IndexInstance,
    read: ReadBack & { kind: "equal" },
    version: number,
  ): Promise<void> {
    const { store, fence, world } = this.#options;
    const fingerprint = settingsFingerprint(read.settings);
    await store.nodeSettingsVersions.put(
      read.nodeIds.map((id) => ({
        instance,
        nodeId: nodeId(id),
        version,
        fingerprint,
        updatedAt: world.clock.now(),
      })),
      fence(),
    );
  }

  /** The settings of most replicas count; of the lowest node id among equals. */
  async #suspectOdd(index: Index, byFingerprint: ReadonlyMap<string, readonly string[]>): Promise<void> {
    const groups = [...byFingerprint.values()].map((ids) => [...ids].sort());
    groups.sort((a, b) => b.length - a.length || ((a[0] ?? "") < (b[0] ?? "") ? -1 : 1));
    const odd = groups.slice(1).flat();
    const kept = new Set(groups[0]);
    const alone = index.placement.filter(({ nodeIds }) => !nodeIds.some((id) => kept.has(id)));
    this.#options.logger.warn(
      { index: index.uid, nodes: odd, shardsWithoutPeer: alone.length },
      "replicas have different settings; the odd ones are suspect",
    );
    await this.#options.topology.change(`settings of index ${index.uid} differ`, (draft) => {
      markSuspect(draft, index.instance, odd);
    });
  }
}

/** What nodes said, as JSON, with the client's `displayedAttributes`, which they do not know. */
function withDisplayed(
  settings: Readonly<Record<string, unknown>>,
  before: string,
  taken: readonly Change[],
): string {
  const { displayedAttributes } = parseObject(before);
  const displayed = taken.reduce<unknown>(
    (attributes, { row }) => displayedAfter(attributes, parseObject(row.detailsJson ?? "")),
    displayedAttributes ?? settings.displayedAttributes,
  );
  return JSON.stringify({ ...settings, displayedAttributes: displayed });
}

function parseObject(text: string): Record<string, unknown> {
  return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
}
