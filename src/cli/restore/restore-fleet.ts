import type { MiroirClient } from "../../client/index.js";
import type { Dump } from "../../dumps/dump-reader.js";
import type { DumpedIndex } from "../../dumps/manifest.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import type { EnqueuedAnswer, ProxyApi } from "../proxy-api.js";
import { type EmbedderKeys, missingEmbedderKeys, withEmbedderKeys } from "./embedder-keys.js";
import { documentsBegun, type FleetIndex, restoreIndex } from "./restore-index.js";
import { type RestoredKeys, restoreKeys } from "./restore-keys.js";
import { type RestoredResources, restoreResources } from "./restore-resources.js";

/** What is restored of a dump, and over what. */
export interface RestoreChoice {
  /** Uids of the indexes that are restored and nothing else; where it is empty, all of the dump, with features and keys. */
  readonly indexes: readonly string[];
  /** Uids of indexes of the fleet that may be deleted to make room. */
  readonly overwrite: readonly string[];
  readonly embedderKeys: EmbedderKeys;
  /** Bytes of documents that are sent at once. */
  readonly batchBytes: number;
}

/** What there is to do; nothing of it is done yet. */
export interface RestorePlan {
  readonly indexes: readonly PlannedIndex[];
  /** Of all planned indexes. */
  readonly documents: number;
  /** Whether features and keys are restored too. */
  readonly isWhole: boolean;
  /** Whether the fleet is empty, or holds what an earlier attempt has restored. */
  readonly isFresh: boolean;
}

/** One index of a plan. */
export interface PlannedIndex {
  readonly index: DumpedIndex;
  /** Documents that an earlier attempt has sent; undefined where the index is to be created. */
  readonly begun: number | undefined;
  /** The fleet's own index of that name goes first. */
  readonly overwrites: boolean;
}

/** What was restored. */
export interface RestoreReport {
  readonly indexes: readonly { readonly uid: string; readonly documents: number }[];
  readonly experimentalFeatures: readonly string[];
  readonly keys: RestoredKeys | { readonly leftOut: string };
  /** Webhooks, chats, the network. */
  readonly resources: RestoredResources | { readonly leftOut: string };
}

const PAGE = 1_000;
const NOT_ASKED = { leftOut: "only indexes were asked for" } as const;
const TASK_TIMEOUT_MS = 24 * 3_600_000;

/**
 * Compares the fleet with the dump and decides what is to be done; only reads.
 *
 * @throws CommandError where an index of the dump is asked for that it does not hold, where the fleet holds what it was not said to
 * overwrite, or where an embedder's key is missing
 */
export async function planRestore(api: ProxyApi, dump: Dump, choice: RestoreChoice): Promise<RestorePlan> {
  const { manifest } = dump;
  const chosen = chooseIndexes(manifest.indexes, choice.indexes);
  const missing = missingEmbedderKeys(chosen, choice.embedderKeys);
  if (missing.length > 0) {
    throw new CommandError(
      ExitCode.usage,
      `the dump does not hold the API keys of these embedders: ${missing.join(", ")}; give each with --embedder-key INDEX:EMBEDDER=KEY`,
    );
  }
  const held = await fleetIndexes(api);
  const strangers = held.filter(({ uid }) => !manifest.indexes.some((index) => index.uid === uid));
  if (choice.indexes.length === 0 && strangers.length > 0) {
    throw new CommandError(
      ExitCode.failure,
      `the fleet is not empty: it has the indexes ${listed(strangers)}, which the dump has not; name what is to be restored with --index`,
    );
  }
  const indexes: PlannedIndex[] = [];
  const taken: FleetIndex[] = [];
  for (const index of chosen) {
    const present = held.find(({ uid }) => uid === index.uid);
    if (present === undefined) indexes.push({ index, begun: undefined, overwrites: false });
    else {
      const begun = await documentsBegun(api, manifest.dumpUid, index.uid);
      const isOurs = begun !== undefined && (present.primaryKey ?? index.primaryKey) === index.primaryKey;
      if (isOurs) indexes.push({ index, begun, overwrites: false });
      else if (choice.overwrite.includes(index.uid))
        indexes.push({ index, begun: undefined, overwrites: true });
      else taken.push(present);
    }
  }
  if (taken.length > 0) {
    throw new CommandError(
      ExitCode.failure,
      `the fleet has these indexes already: ${listed(taken)}; allow each to be deleted first with --overwrite UID, or leave it out with --index`,
    );
  }
  return {
    indexes,
    documents: chosen.reduce((sum, { documents }) => sum + documents, 0),
    isWhole: choice.indexes.length === 0,
    isFresh: indexes.every(({ overwrites }) => !overwrites),
  };
}

/** Does what was planned. What it did is found again by a second run, which goes on from there. @throws CommandError */
export async function runRestore(
  api: ProxyApi,
  dump: Dump,
  plan: RestorePlan,
  { embedderKeys, batchBytes }: RestoreChoice,
  { client, now }: { readonly client: MiroirClient | undefined; readonly now: number },
  onDocuments: (done: number) => void,
): Promise<RestoreReport> {
  const experimentalFeatures = plan.isWhole ? dump.manifest.experimentalFeatures : [];
  if (experimentalFeatures.length > 0) {
    const features = Object.fromEntries(experimentalFeatures.map((name) => [name, true]));
    await api.call("PATCH", "/experimental-features", features);
  }
  let done = 0;
  for (const { index, begun, overwrites } of plan.indexes) {
    if (overwrites) {
      const { taskUid } = await api.call<EnqueuedAnswer>("DELETE", `/indexes/${index.uid}`);
      await api.taskDone(taskUid, TASK_TIMEOUT_MS);
    }
    await restoreIndex({
      api,
      dump,
      index,
      begun,
      batchBytes,
      settings: withEmbedderKeys(index.uid, await dump.settings(index), embedderKeys),
      onDocuments: (count) => {
        done += count;
        onDocuments(done);
      },
    });
  }
  // Last, since the key of this command may be one of those that are replaced.
  const resources = plan.isWhole ? await restoreResources(dump, client) : NOT_ASKED;
  const keys = plan.isWhole ? await restoreKeys(api, dump, now, plan.isFresh) : NOT_ASKED;
  return {
    indexes: plan.indexes.map(({ index: { uid, documents } }) => ({ uid, documents })),
    experimentalFeatures,
    keys,
    resources,
  };
}

function chooseIndexes(dumped: readonly DumpedIndex[], uids: readonly string[]): readonly DumpedIndex[] {
  if (uids.length === 0) return dumped;
  const unknown = uids.filter((uid) => !dumped.some((index) => index.uid === uid));
  if (unknown.length === 0) return dumped.filter(({ uid }) => uids.includes(uid));
  throw new CommandError(
    ExitCode.notFound,
    `the dump has no index ${unknown.join(", ")}; it has ${dumped.map(({ uid }) => uid).join(", ") || "none"}`,
  );
}

async function fleetIndexes(api: ProxyApi): Promise<readonly FleetIndex[]> {
  const indexes: FleetIndex[] = [];
  for (;;) {
    const page = await api.call<{ results: readonly FleetIndex[]; total: number }>(
      "GET",
      `/indexes?limit=${PAGE}&offset=${indexes.length}`,
    );
    indexes.push(...page.results);
    if (page.results.length === 0 || indexes.length >= page.total) return indexes;
  }
}

function listed(indexes: readonly FleetIndex[]): string {
  const shown = indexes.slice(0, 10).map(({ uid }) => uid);
  return shown.join(", ") + (indexes.length > shown.length ? " …" : "");
}
