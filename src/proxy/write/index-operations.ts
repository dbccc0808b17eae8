import { TaskType } from "../../gen/miroir/v1/tasks_pb.js";
import { MeilisearchError } from "../../meilisearch/errors.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { physicalName } from "../../placement/physical-name.js";
import {
  exposingToken,
  maskSecrets,
  reservedSettingsName,
  toNodeSettings,
} from "../../settings/canonical-settings.js";
import { withDefaultTemplates } from "../../settings/document-templates.js";
import { embedderSecrets } from "../../settings/embedder-secrets.js";
import { formatMoment } from "../../tasks/rfc3339.js";
import { typeName } from "../../tasks/task-names.js";
import { checkedIndexUid } from "../http/api-errors.js";
import type { IndexView } from "../topology/topology-view.js";
import { untilAnswered } from "./control-calls.js";
import { primaryKeyTaken } from "./document-key.js";
import { holdsNoDocuments } from "./empty-index.js";
import type { AcceptedNodeTask } from "./index-write.js";
import { nodeOf } from "./node-of.js";
import type { OpenSettings } from "./open-settings.js";
import { exposingSetting, noQuorum, reservedSetting } from "./refusals.js";
import { readSettingsChange, type SettingsChange, subRouteRefusal } from "./settings-change.js";
import { standingOf } from "./standing.js";
import { indexNotFoundFailure } from "./task-failure.js";
import type { SettingsWrite, WriteResult } from "./types.js";
import type { TaskDraft, Turn, WriteCore } from "./write-core.js";

/** An index uid that no node takes: a node that gets as far as complaining of it has found nothing wrong with the body. */
const NO_UID = "%20";

/** Index creation, change, deletion, and settings: writes in the index's lane like any other. */
export class IndexOperations {
  constructor(
    private readonly core: WriteCore,
    private readonly openSettings: OpenSettings,
  ) {}

  /** The control plane creates the index and records the task, failed where the name is taken. */
  async create(uid: string, primaryKey: string | undefined, signal: AbortSignal): Promise<WriteResult> {
    checkedIndexUid(uid);
    this.core.requireWritable();
    const { control, config, lease, writers } = this.core.context;
    return this.core.inLaneUnregistered(uid, signal, async () => {
      const taskUid = await this.core.uids.take();
      const enqueuedAt = this.core.now();
      const call = () =>
        control.createIndex(
          {
            taskUid,
            uid,
            session: lease.session,
            writer: writers.firstWriter(uid),
            ...(primaryKey === undefined ? {} : { primaryKey }),
          },
          { timeoutMs: config.controlTimeoutMs },
        );
      const answer = await untilAnswered(this.core.context, call, taskUid, "creating the index");
      // The client's next request may be about the index; that the topology is late does not undo the creation.
      await this.core.catalogue.waitForEpoch(answer?.epoch).catch(() => undefined);
      return {
        status: 202,
        body: {
          taskUid: Number(taskUid),
          indexUid: uid,
          status: "enqueued",
          type: typeName(TaskType.INDEX_CREATION),
          enqueuedAt: formatMoment(enqueuedAt),
        },
      };
    });
  }

  /** Sets the primary key. */
  async update(indexUid: string, primaryKey: string | undefined, signal: AbortSignal): Promise<WriteResult> {
    checkedIndexUid(indexUid);
    this.core.requireWritable();
    const draft: TaskDraft = {
      type: TaskType.INDEX_UPDATE,
      indexUid,
      detailsJson: JSON.stringify({ primaryKey: primaryKey ?? null }),
    };
    return this.core.inLane(indexUid, signal, async () => {
      const index = this.core.catalogue.find(indexUid);
      if (index === undefined) return this.core.finalTurn(draft, "", indexNotFoundFailure(indexUid));
      if (primaryKey === undefined) return this.core.finalTurn(draft, index.instance, undefined);
      const replaces = index.primaryKey !== undefined && index.primaryKey !== primaryKey;
      const writer = this.core.writerOf(index.instance);
      if (replaces && !(await holdsNoDocuments(this.core.context, await writer.prepare()))) {
        const failure = primaryKeyTaken(index.primaryKey ?? "");
        const message = `Index \`${indexUid}\`: ${failure.error.message}`;
        return this.core.finalTurn(draft, index.instance, { error: { ...failure.error, message } });
      }
      // Nodes get a key that they should have already as well: a change that broke off before it reached them is made good by repeating it.
      const keyed = await this.core.catalogue.ensure(indexUid, primaryKey, index.primaryKey);
      return this.core.dispatch({
        index: keyed,
        draft,
        touched: "all",
        kind: "index",
        request: (_, name) => ({
          method: "PATCH",
          path: `/indexes/${name}`,
          contentType: "application/json",
          body: JSON.stringify({ primaryKey: keyed.primaryKey }),
        }),
      });
    });
  }

  /** Out of the catalogue first, so that nobody reads it any more, then off the nodes. */
  async delete(indexUid: string, signal: AbortSignal): Promise<WriteResult> {
    checkedIndexUid(indexUid);
    this.core.requireWritable();
    const { control, config, lease } = this.core.context;
    const draft: TaskDraft = {
      type: TaskType.INDEX_DELETION,
      indexUid,
      detailsJson: JSON.stringify({ deletedDocuments: 0 }),
    };
    return this.core.inLane(indexUid, signal, async () => {
      const index = this.core.catalogue.find(indexUid);
      if (index === undefined) return this.core.finalTurn(draft, "", indexNotFoundFailure(indexUid));
      const taskUid = await this.core.uids.take();
      const call = () =>
        control.removeIndex(
          { instance: index.instance, session: lease.session },
          { timeoutMs: config.controlTimeoutMs },
        );
      const what = "removing the index";
      const answer = await untilAnswered(this.core.context, call, taskUid, what, "not_found");
      await this.core.catalogue.waitForEpoch(answer?.epoch).catch(() => undefined);
      const nodeTasks = await this.deleteOnNodes(index);
      this.core.forgetWriter(index.instance);
      if (nodeTasks.length === 0) return this.core.finalTurnAs(taskUid, draft, index.instance, undefined);
      const open = { ...draft, detailsJson: JSON.stringify({ deletedDocuments: null }) };
      return this.core.enqueuedTurn(taskUid, open, index.instance, nodeTasks);
    });
  }

  async updateSettings(write: SettingsWrite, signal: AbortSignal): Promise<WriteResult> {
    const { indexUid, route, method, body, mayCreateIndex = true } = write;
    this.core.requireWritable();
    const change = readSettingsChange(route, method, body);
    if (!change.reset) await this.checkSettings(change, indexUid);
    checkedIndexUid(indexUid);
    const reserved = reservedSettingsName(change.patch);
    if (reserved !== undefined) throw reservedSetting(reserved);
    const exposing = exposingToken(change.patch);
    if (exposing !== undefined) throw subRouteRefusal(exposingSetting(exposing), change.member);
    const draft: TaskDraft = {
      type: TaskType.SETTINGS_UPDATE,
      indexUid,
      detailsJson: JSON.stringify(maskSecrets(change.details)),
      embedderSecretsJson: embedderSecrets(change.patch),
    };
    return this.core.inLane(indexUid, signal, () =>
      this.settingsInLane(indexUid, change, draft, mayCreateIndex),
    );
  }

  private async settingsInLane(
    indexUid: string,
    change: SettingsChange,
    draft: TaskDraft,
    mayCreateIndex: boolean,
  ): Promise<Turn> {
    const known: IndexView | undefined = this.core.catalogue.find(indexUid);
    if (known === undefined && (change.reset || !mayCreateIndex)) {
      return this.core.finalTurn(draft, "", indexNotFoundFailure(indexUid));
    }
    const index = known ?? (await this.core.catalogue.ensure(indexUid, undefined));
    const { instance } = index;
    const nodePatch = JSON.stringify(toNodeSettings(this.withTemplates(change.patch, index)));
    try {
      return await this.core.dispatch({
        index,
        draft,
        touched: "all",
        kind: "settings",
        onAccepted: (nodeTasks) => this.openSettings.opened(instance, change.patch, nodeTasks),
        request: (_, name) => ({
          method: "PATCH",
          path: `/indexes/${name}/settings`,
          contentType: "application/json",
          body: nodePatch,
        }),
      });
    } catch (error) {
      if (!(error instanceof MeilisearchError)) throw error;
      // Some of what is wrong nodes tell only of an index that there is.
      if (known === undefined && error.status < 500) await this.discard(index);
      throw subRouteRefusal(error, change.member);
    }
  }

  /** The change with the templates that new embedders would get without being told, so that they can be guarded. */
  private withTemplates(patch: SettingsChange["patch"], index: IndexView): SettingsChange["patch"] {
    if (!("embedders" in patch)) return patch;
    const recent = this.openSettings.recentPatches(index.instance).map(({ embedders }) => embedders);
    return {
      ...patch,
      embedders: withDefaultTemplates(patch.embedders, [index.settings.embedders, ...recent]),
    };
  }

  /** Takes back an index that was created for a change which no node made. The refusal matters more than what fails here. */
  private async discard(index: IndexView): Promise<void> {
    const { control, config, lease, logger } = this.core.context;
    try {
      const { epoch } = await control.removeIndex(
        { instance: index.instance, session: lease.session },
        { timeoutMs: config.controlTimeoutMs },
      );
      await this.core.catalogue.waitForEpoch(epoch);
      await this.deleteOnNodes(index);
      this.core.forgetWriter(index.instance);
    } catch (error) {
      logger.warn({ err: error, index: index.uid }, "an index that was created for a refused change stays");
    }
  }

  /**
   * Has a node check a change without making it: under a uid that no index can have.
   *
   * @throws MeilisearchError the node's refusal, or 503 where none answers
   */
  private async checkSettings(change: SettingsChange, indexUid: string): Promise<void> {
    const { topology, calls, config } = this.core.context;
    const nodes = [...(topology.current()?.nodes.values() ?? [])];
    let unavailable: unknown;
    for (const node of nodes.sort(
      (a, b) => Number(a.state === "unreachable") - Number(b.state === "unreachable"),
    )) {
      try {
        await calls.client(node.writeAddress).json({
          method: "PATCH",
          path: `/indexes/${NO_UID}/settings`,
          contentType: "application/json",
          // With the client's own templates, which the node may find fault with.
          body: JSON.stringify({ ...toNodeSettings(change.patch), ...embeddersOf(change.patch) }),
          timeoutMs: config.controlTimeoutMs,
        });
        return;
      } catch (error) {
        if (error instanceof MeilisearchError && error.status >= 400 && error.status < 500) {
          if (error.body.code === "invalid_index_uid") return;
          if (error.status !== 401 && error.status !== 403) {
            const cleaned = new MeilisearchError(error.status, this.core.clean(error.body, indexUid));
            throw subRouteRefusal(cleaned, change.member);
          }
        }
        if (!(error instanceof NodeUnavailableError) && !(error instanceof MeilisearchError)) throw error;
        unavailable = error;
      }
    }
    throw noQuorum("no node answers to check the settings", { cause: unavailable });
  }

  /** Deletes the physical index wherever it is known to be; what a silent node keeps is removed when it is back. */
  private async deleteOnNodes(index: IndexView): Promise<readonly AcceptedNodeTask[]> {
    const view = this.core.context.topology.current();
    if (view === undefined) return [];
    const standing = standingOf(view, index);
    const name = physicalName(
      index.instance,
      this.core.writerOf(index.instance).generation() ?? index.generation,
    );
    const accepted = await Promise.all(
      [...standing.members].map(async (nodeId) => {
        const node = nodeOf(this.core.context, nodeId);
        if (node === undefined) return [];
        const outcome = await this.core.context.calls.enqueue(node.adminAddress, "indexDeletion", {
          method: "DELETE",
          path: `/indexes/${name}`,
        });
        if (outcome.kind === "accepted") return [{ nodeId, nodeTaskUid: outcome.nodeTaskUid, shards: [] }];
        this.core.context.logger.warn(
          { node: nodeId, index: index.uid, physical: name, outcome: outcome.kind },
          "a removed index was not deleted on a node",
        );
        return [];
      }),
    );
    return accepted.flat();
  }
}

function embeddersOf({ embedders }: SettingsChange["patch"]): SettingsChange["patch"] {
  return embedders === undefined ? {} : { embedders };
}
