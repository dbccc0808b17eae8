import { MeilisearchError } from "../../meilisearch/errors.js";
import { OWN_TASK_UID } from "../../meilisearch/task-metadata.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { physicalName } from "../../placement/physical-name.js";
import { driftedMembers, repairPatch } from "../../settings/settings-drift.js";
import type { IndexView, TopologyView } from "../topology/topology-view.js";
import { knownSecrets } from "./known-secrets.js";
import { nodeOf } from "./node-of.js";
import type { OpenSettings } from "./open-settings.js";
import type { Standing } from "./standing.js";
import type { WriteCore } from "./write-core.js";

/** Pause between two attempts to repair an index. Milliseconds. */
const PAUSE_MS = 2_000;
/** How long after a change of an index's settings nothing is repaired: the topology may not tell of the change yet. Milliseconds. */
const QUIET_MS = 3_000;

/**
 * Sends nodes the committed settings again where the control plane has found that they have others (design §8). A repair is a
 * write in the index's lane (invariants 6 and 8), to the nodes in question alone. It looks for itself before it sends, and leaves an
 * index alone while a change of its settings is under way, which a repair would undo.
 */
export class SettingsRepairs {
  readonly #running = new Set<string>();

  constructor(
    private readonly core: WriteCore,
    private readonly openSettings: OpenSettings,
  ) {}

  /** Takes up what a new topology asks for. */
  look(view: TopologyView): void {
    if (this.core.context.lease.state().kind !== "held") return;
    for (const index of view.indexes.values()) {
      if (index.drifted.size === 0 || this.#running.has(index.instance)) continue;
      if (!this.core.context.writers.isOwn(index)) continue;
      this.#running.add(index.instance);
      this.#repair(index.instance)
        .catch((error: unknown) => this.core.context.logger.debug({ err: error }, "no more repairs"))
        .finally(() => this.#running.delete(index.instance));
    }
  }

  /** Until the control plane finds that the settings are as they should be, or this proxy writes no more. */
  async #repair(instance: string): Promise<void> {
    const { topology, lease, logger, world, closed, writers } = this.core.context;
    for (;;) {
      const index = topology.current()?.byInstance.get(instance);
      if (index === undefined || index.drifted.size === 0 || lease.state().kind !== "held") return;
      if (!writers.isOwn(index)) return;
      try {
        await this.core.background(index.uid, () => this.#inLane(instance, index.uid));
      } catch (error) {
        logger.warn({ err: error, index: index.uid }, "a node's settings stay other ones for now");
      }
      await world.timers.sleep(PAUSE_MS, closed);
    }
  }

  async #inLane(instance: string, indexUid: string): Promise<void> {
    const { topology } = this.core.context;
    if (topology.current()?.byInstance.get(instance)?.uid !== indexUid) return;
    const writer = this.core.writerOf(instance);
    const standing = await writer.prepare();
    const index = topology.current()?.byInstance.get(instance);
    if (index === undefined || index.settingsChanging) return;
    if (this.openSettings.whenDone(instance) !== undefined) return;
    if (this.openSettings.quietFor(instance) < QUIET_MS) return;
    for (const nodeId of index.drifted) {
      if (standing.members.has(nodeId)) await this.#sendTo(nodeId, index, standing);
    }
  }

  async #sendTo(nodeId: string, index: IndexView, standing: Standing): Promise<void> {
    const { calls, logger } = this.core.context;
    const node = nodeOf(this.core.context, nodeId);
    if (node === undefined) return;
    const name = physicalName(standing.instance, standing.generation);
    let settings: Record<string, unknown>;
    try {
      settings = await calls.client(node.adminAddress).settings(name);
    } catch (error) {
      if (!(error instanceof NodeUnavailableError) && !(error instanceof MeilisearchError)) throw error;
      logger.warn({ err: error, node: nodeId, index: index.uid }, "a node does not tell its settings");
      return;
    }
    const members = driftedMembers(index.settings, settings);
    if (members.length === 0) return;
    const view = this.core.context.topology.current();
    const secrets = view === undefined ? [] : knownSecrets(view, index.instance);
    const body = JSON.stringify(repairPatch(index.settings, settings, members, secrets));
    const sent = await this.core.writerOf(index.instance).send({
      taskUid: OWN_TASK_UID,
      taskType: "settingsRepair",
      touched: "all",
      only: new Set([nodeId]),
      kind: "settings",
      request: (_, physical) => ({
        method: "PATCH",
        path: `/indexes/${physical}/settings`,
        contentType: "application/json",
        body,
      }),
    });
    // So that it is not sent again while the node is at it.
    if (sent.kind === "accepted") this.openSettings.repairing(index.instance, sent.nodeTasks);
    logger.warn({ node: nodeId, index: index.uid, members, outcome: sent.kind }, "settings were sent again");
  }
}
