import {
  type CreateDumpRequest,
  CreateDumpRequestSchema,
  type CreateSnapshotRequest,
  CreateSnapshotRequestSchema,
} from "../../gen/miroir/v1/backups_pb.js";
import { ExportRequestSchema } from "../../gen/miroir/v1/exports_pb.js";
import { SetFeaturesRequestSchema } from "../../gen/miroir/v1/features_pb.js";
import {
  CommitGenerationRequestSchema,
  CompactIndexRequestSchema,
  CreateIndexRequestSchema,
  EnsureIndexRequestSchema,
  ExplainDocumentRequestSchema,
  GetIndexRequestSchema,
  ListIndexesRequestSchema,
  RemoveIndexRequestSchema,
  RenameIndexRequestSchema,
  SwapIndexesRequestSchema,
} from "../../gen/miroir/v1/indexes_pb.js";
import {
  CreateKeyRequestSchema,
  DeleteKeyRequestSchema,
  UpdateKeyRequestSchema,
} from "../../gen/miroir/v1/keys_pb.js";
import { SetResourceRequestSchema } from "../../gen/miroir/v1/resources_pb.js";
import {
  AllocateTaskUidsRequestSchema,
  type CancelTasksRequest,
  CancelTasksRequestSchema,
  CountTasksRequestSchema,
  type DeleteTasksRequest,
  DeleteTasksRequestSchema,
  GetTaskRequestSchema,
  type ListTasksRequest,
  ListTasksRequestSchema,
  type NodeTask,
  RegisterTasksRequestSchema,
  type Task,
  TaskStatus,
  TaskType,
} from "../../gen/miroir/v1/tasks_pb.js";
import type { ApiKey } from "../../gen/miroir/v1/topology_pb.js";
import { addClusterValidators } from "./cluster-validators.js";
import { addCopyValidators } from "./copy-validators.js";
import { addFailureValidators } from "./failure-validators.js";
import { checkName, checkWriter, MAX_NAME } from "./field-checks.js";
import { type Faults, ValidatorTable } from "./validation.js";

/** Longest name of a field that documents are known by, in characters; Meilisearch takes any, also the empty one. */
const MAX_PRIMARY_KEY = 4_096;
const MAX_WAIT_MS = 10_000;
const MAX_SESSION = 128;
const MAX_KEY_TEXT = 10_000;
const MAX_KEY_LIST = 1_000;
const MAX_FEATURES = 100;
const KEY_UID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const MAX_TASKS = 1_000;
const MAX_NODE_TASKS = 1_000;
const MAX_SHARDS = 4_096;
const MAX_LIST = 10_000;
const MAX_JSON = 1024 * 1024;
const MAX_UID = BigInt(Number.MAX_SAFE_INTEGER);
const RESOURCE = /^[a-z]{1,64}(\/[a-zA-Z0-9_-]{1,512})?$/;
const INDEX_UID = /^[a-zA-Z0-9_-]{1,512}$/;

/** The bounds of every request of Miroir's services, as the proto files state them. */
export function createValidators(): ValidatorTable {
  return addFailureValidators(addCopyValidators(addClusterValidators(new ValidatorTable())))
    .add(AllocateTaskUidsRequestSchema, ({ count, session }, faults) => {
      faults.check(count >= 1 && count <= 10_000, "count", "must be 1 to 10,000");
      checkSession(session, faults);
    })
    .add(RegisterTasksRequestSchema, ({ session, tasks }, faults) => {
      checkSession(session, faults);
      faults.check(tasks.length <= MAX_TASKS, "tasks", `at most ${MAX_TASKS}, not ${tasks.length}`);
      for (const [position, task] of tasks.slice(0, MAX_TASKS).entries()) {
        checkTask(task, `tasks[${position}]`, faults);
      }
    })
    .add(GetTaskRequestSchema, ({ uid }, faults) => checkUid(uid, "uid", faults))
    .add(ListTasksRequestSchema, checkTaskList)
    .add(CountTasksRequestSchema, ({ matching }, faults) => {
      faults.check(matching.length <= MAX_LIST, "matching", `at most ${MAX_LIST}, not ${matching.length}`);
      for (const selection of matching.slice(0, MAX_LIST)) checkTaskList(selection, faults);
    })
    .add(DeleteTasksRequestSchema, checkTaskRemoval)
    .add(CreateDumpRequestSchema, checkBackup)
    .add(CreateSnapshotRequestSchema, checkBackup)
    .add(CancelTasksRequestSchema, checkTaskRemoval)
    .add(ExportRequestSchema, ({ taskUid, session, indexes }, faults) => {
      checkUid(taskUid, "task_uid", faults);
      checkSession(session, faults);
      faults.check(indexes.length <= MAX_LIST, "indexes", `at most ${MAX_LIST}, not ${indexes.length}`);
      for (const { filterJson } of indexes.slice(0, MAX_LIST)) {
        if (filterJson !== undefined) checkJson(filterJson, "indexes.filter_json", faults);
      }
    })
    .add(EnsureIndexRequestSchema, ({ uid, primaryKey, session, writer, replacedPrimaryKey }, faults) => {
      checkIndexUid(uid, "uid", faults);
      checkPrimaryKey(primaryKey, faults);
      checkPrimaryKey(replacedPrimaryKey, faults);
      checkWriter(writer, faults);
      checkSession(session, faults);
    })
    .add(CreateIndexRequestSchema, ({ taskUid, uid, primaryKey, session, writer }, faults) => {
      checkWriter(writer, faults);
      checkUid(taskUid, "task_uid", faults);
      checkIndexUid(uid, "uid", faults);
      checkPrimaryKey(primaryKey, faults);
      checkSession(session, faults);
    })
    .add(RemoveIndexRequestSchema, ({ instance, session }, faults) => {
      checkName(instance, "instance", faults);
      checkSession(session, faults);
    })
    .add(SwapIndexesRequestSchema, ({ taskUid, swaps, session, waitMs }, faults) => {
      checkUid(taskUid, "task_uid", faults);
      faults.check(swaps.length <= MAX_LIST, "swaps", `at most ${MAX_LIST}, not ${swaps.length}`);
      const names = new Set<string>();
      for (const [position, { leftUid, rightUid }] of swaps.slice(0, MAX_LIST).entries()) {
        checkIndexUid(leftUid, `swaps[${position}].left_uid`, faults);
        checkIndexUid(rightUid, `swaps[${position}].right_uid`, faults);
        names.add(leftUid).add(rightUid);
      }
      faults.check(names.size >= 2 * Math.min(swaps.length, MAX_LIST), "swaps", "name an index twice");
      checkSession(session, faults);
      checkWait(waitMs, faults);
    })
    .add(RenameIndexRequestSchema, ({ taskUid, uid, newUid, primaryKey, session, waitMs }, faults) => {
      checkUid(taskUid, "task_uid", faults);
      checkIndexUid(uid, "uid", faults);
      checkIndexUid(newUid, "new_uid", faults);
      checkPrimaryKey(primaryKey, faults);
      checkSession(session, faults);
      checkWait(waitMs, faults);
    })
    .add(CompactIndexRequestSchema, ({ taskUid, uid, session }, faults) => {
      checkUid(taskUid, "task_uid", faults);
      checkIndexUid(uid, "uid", faults);
      checkSession(session, faults);
    })
    .add(CommitGenerationRequestSchema, (request, faults) => {
      const { instance, expectedGeneration, newGeneration, staleNodeIds, writer, reason } = request;
      checkName(instance, "instance", faults);
      // The first writer claims an index as it is; every later change is a new generation.
      const isClaim =
        newGeneration === expectedGeneration && writer !== undefined && staleNodeIds.length === 0;
      faults.check(
        newGeneration > expectedGeneration || isClaim,
        "new_generation",
        "must be above expected_generation",
      );
      faults.check(staleNodeIds.length <= 1_000, "stale_node_ids", "at most 1,000");
      for (const [position, id] of staleNodeIds.entries())
        checkName(id, `stale_node_ids[${position}]`, faults);
      checkWriter(writer, faults);
      faults.check(request.session.length <= MAX_SESSION, "session", `at most ${MAX_SESSION} characters`);
      faults.check(reason.length <= 1_000, "reason", "at most 1,000 characters");
      faults.check(request.copyId.length <= MAX_NAME, "copy_id", `at most ${MAX_NAME} characters`);
    })
    .add(GetIndexRequestSchema, ({ uid }, faults) => checkIndexUid(uid, "uid", faults))
    .add(ListIndexesRequestSchema, ({ pageSize, pageToken }, faults) => {
      faults.check(pageSize <= 1_000, "page_size", "must be 1 to 1,000, or absent for 100");
      faults.check(pageToken.length <= 1_024, "page_token", "is not one from a previous answer");
    })
    .add(ExplainDocumentRequestSchema, ({ indexUid, primaryKey }, faults) => {
      checkIndexUid(indexUid, "index_uid", faults);
      checkName(primaryKey, "primary_key", faults);
    })
    .add(CreateKeyRequestSchema, ({ key }, faults) => {
      faults.check(key !== undefined, "key", "must be given");
      if (key !== undefined) checkKey(key, faults);
    })
    .add(UpdateKeyRequestSchema, ({ uid, name, description }, faults) => {
      checkKeyUid(uid, "uid", faults);
      checkKeyText(name?.value, "name", faults);
      checkKeyText(description?.value, "description", faults);
    })
    .add(SetFeaturesRequestSchema, ({ enable, disable }, faults) => {
      for (const [path, list] of Object.entries({ enable, disable })) {
        faults.check(list.length <= MAX_FEATURES, path, `at most ${MAX_FEATURES}, not ${list.length}`);
        for (const [position, name] of list.slice(0, MAX_FEATURES).entries()) {
          faults.check(/^[a-zA-Z]{1,64}$/.test(name), `${path}[${position}]`, "is no name of a feature");
        }
      }
    })
    .add(SetResourceRequestSchema, ({ name, json }, faults) => {
      faults.check(RESOURCE.test(name), "name", "must be a kind, or a kind, a slash and a uid");
      if (json !== undefined) checkJson(json, "json", faults);
    })
    .add(DeleteKeyRequestSchema, ({ uid }, faults) => checkKeyUid(uid, "uid", faults));
}

function checkKey({ uid, name, description, actions, indexes }: ApiKey, faults: Faults): void {
  checkKeyUid(uid, "key.uid", faults);
  checkKeyText(name, "key.name", faults);
  checkKeyText(description, "key.description", faults);
  for (const [path, list] of Object.entries({ actions, indexes })) {
    faults.check(list.length <= MAX_KEY_LIST, `key.${path}`, `at most ${MAX_KEY_LIST}, not ${list.length}`);
    for (const [position, text] of list.slice(0, MAX_KEY_LIST).entries()) {
      faults.check(text !== "" && text.length <= MAX_NAME, `key.${path}[${position}]`, "is no name");
    }
  }
}

function checkTaskList(request: ListTasksRequest, faults: Faults): void {
  const { limit, from, uids, indexUids, statuses, types, canceledBy } = request;
  faults.check(limit === undefined || (limit >= 1 && limit <= 1_000_000), "limit", "must be 1 to 1,000,000");
  if (from !== undefined) checkUid(from, "from", faults);
  const lists = { uids, index_uids: indexUids, statuses, types, canceled_by: canceledBy };
  for (const [path, list] of Object.entries(lists)) {
    faults.check(list.length <= MAX_LIST, path, `at most ${MAX_LIST} entries, not ${list.length}`);
  }
  for (const [position, status] of statuses.entries()) checkStatus(status, `statuses[${position}]`, faults);
  for (const [position, type] of types.entries()) checkType(type, `types[${position}]`, faults);
}

function checkTaskRemoval(request: DeleteTasksRequest | CancelTasksRequest, faults: Faults): void {
  const { taskUid, matching, originalFilter, session } = request;
  checkUid(taskUid, "task_uid", faults);
  if (matching !== undefined) checkTaskList(matching, faults);
  faults.check(originalFilter.length <= MAX_JSON, "original_filter", `at most ${MAX_JSON} characters`);
  checkSession(session, faults);
}

function checkBackup({ taskUid, session }: CreateDumpRequest | CreateSnapshotRequest, faults: Faults): void {
  checkUid(taskUid, "task_uid", faults);
  checkSession(session, faults);
}

function checkWait(waitMs: number, faults: Faults): void {
  faults.check(waitMs <= MAX_WAIT_MS, "wait_ms", `at most ${MAX_WAIT_MS}`);
}

function checkKeyUid(uid: string, path: string, faults: Faults): void {
  faults.check(KEY_UID.test(uid), path, "must be a UUID in lower case with hyphens");
}

function checkKeyText(text: string | undefined, path: string, faults: Faults): void {
  faults.check((text?.length ?? 0) <= MAX_KEY_TEXT, path, `at most ${MAX_KEY_TEXT} characters`);
}

function checkTask(task: Task, path: string, faults: Faults): void {
  checkUid(task.uid, `${path}.uid`, faults);
  checkType(task.type, `${path}.type`, faults);
  checkStatus(task.status, `${path}.status`, faults);
  if (task.indexUid !== "") checkIndexUid(task.indexUid, `${path}.index_uid`, faults);
  faults.check(task.instance.length <= MAX_NAME, `${path}.instance`, `at most ${MAX_NAME} characters`);
  checkJson(task.detailsJson, `${path}.details_json`, faults);
  checkJson(task.embedderSecretsJson, `${path}.embedder_secrets_json`, faults);
  faults.check(
    task.nodeTasks.length <= MAX_NODE_TASKS,
    `${path}.node_tasks`,
    `at most ${MAX_NODE_TASKS}, not ${task.nodeTasks.length}`,
  );
  for (const [position, nodeTask] of task.nodeTasks.slice(0, MAX_NODE_TASKS).entries()) {
    checkNodeTask(nodeTask, `${path}.node_tasks[${position}]`, faults);
  }
}

function checkNodeTask(task: NodeTask, path: string, faults: Faults): void {
  checkName(task.nodeId, `${path}.node_id`, faults);
  checkStatus(task.status, `${path}.status`, faults);
  checkJson(task.detailsJson, `${path}.details_json`, faults);
  faults.check(
    task.shards.length <= MAX_SHARDS && task.shards.every((shard) => shard < MAX_SHARDS),
    `${path}.shards`,
    `at most ${MAX_SHARDS} numbers below ${MAX_SHARDS}`,
  );
}

function checkSession(session: string, faults: Faults): void {
  faults.check(session.length <= MAX_SESSION, "session", `at most ${MAX_SESSION} characters`);
}

function checkUid(uid: bigint, path: string, faults: Faults): void {
  faults.check(uid <= MAX_UID, path, "a task uid is below 2^53");
}

function checkIndexUid(uid: string, path: string, faults: Faults): void {
  faults.check(INDEX_UID.test(uid), path, "must be 1 to 512 letters, digits, hyphens or underscores");
}

function checkPrimaryKey(primaryKey: string | undefined, faults: Faults): void {
  if (primaryKey === undefined) return;
  const fits = primaryKey.length <= MAX_PRIMARY_KEY;
  faults.check(fits, "primary_key", `must have at most ${MAX_PRIMARY_KEY} characters`);
}

function checkJson(json: string, path: string, faults: Faults): void {
  faults.check(json.length <= MAX_JSON, path, `at most ${MAX_JSON} characters`);
}

function checkStatus(status: TaskStatus, path: string, faults: Faults): void {
  faults.check(status !== TaskStatus.UNSPECIFIED && status in TaskStatus, path, "is not a status of a task");
}

function checkType(type: TaskType, path: string, faults: Faults): void {
  faults.check(type !== TaskType.UNSPECIFIED && type in TaskType, path, "is not a type of a task");
}
