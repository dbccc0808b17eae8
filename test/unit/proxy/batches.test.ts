import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  GetTaskResponseSchema,
  ListTasksResponseSchema,
  type Task,
  TaskSchema,
  TaskStatus,
  TaskType,
} from "../../../src/gen/miroir/v1/tasks_pb.js";
import type { ControlTransport } from "../../../src/proxy/control-transport.js";
import { getBatch, listBatches, printBatch } from "../../../src/proxy/read/batches.js";
import { TaskLookups } from "../../../src/proxy/read/task-lookups.js";

const signal = new AbortController().signal;
const none = () => undefined;
const at = { seconds: 1_795_264_433n, nanos: 0 };

function task(init: Partial<Pick<Task, "type" | "status" | "detailsJson" | "indexUid">> = {}): Task {
  return create(TaskSchema, {
    uid: 7n,
    indexUid: "movies",
    type: TaskType.DOCUMENT_DELETION,
    status: TaskStatus.SUCCEEDED,
    enqueuedAt: at,
    startedAt: at,
    finishedAt: { seconds: at.seconds + 1n, nanos: 0 },
    ...init,
  });
}

function controlWith(methods: Partial<ControlTransport>): ControlTransport {
  return methods as ControlTransport;
}

async function asked(query: string) {
  const requests: unknown[] = [];
  const control = controlWith({
    listTasks: async (request) => {
      requests.push(request);
      return create(ListTasksResponseSchema, { tasks: [task()], total: 1n });
    },
  });
  const body = JSON.parse(await listBatches(control, query, signal)) as { readonly total: number };
  return { requests, body };
}

describe("a task as a batch of its own", () => {
  it("leaves out details without a value, and counts the task", () => {
    const detailsJson = '{"providedIds":1,"deletedDocuments":1,"originalFilter":null}';
    expect(JSON.parse(printBatch(task({ detailsJson })))).toEqual({
      uid: 7,
      progress: null,
      details: { providedIds: 1, deletedDocuments: 1 },
      stats: {
        totalNbTasks: 1,
        status: { succeeded: 1 },
        types: { documentDeletion: 1 },
        indexUids: { movies: 1 },
        progressTrace: { "processing tasks": "1.00s" },
      },
      duration: "PT1S",
      startedAt: "2026-11-21T12:33:53.0Z",
      finishedAt: "2026-11-21T12:33:54.0Z",
      batchStrategy: "batched all enqueued tasks",
    });
  });

  it("keeps settings that were reset", () => {
    const printed = printBatch(task({ type: TaskType.SETTINGS_UPDATE, detailsJson: '{"stopWords":null}' }));
    expect(JSON.parse(printed)).toHaveProperty("details", { stopWords: null });
  });

  it("counts no index where there is none", () => {
    const printed = JSON.parse(printBatch(task({ type: TaskType.INDEX_SWAP, indexUid: "" })));
    expect(printed).toHaveProperty("stats.indexUids", {});
    expect(printed).toHaveProperty("details", {});
  });
});

describe("the list of batches", () => {
  it("asks for tasks that have started", async () => {
    const { requests } = await asked("statuses=enqueued,failed");
    expect(requests).toMatchObject([{ statuses: [TaskStatus.FAILED] }]);
  });

  it("asks for nothing where enqueued tasks alone are wanted", async () => {
    const { requests, body } = await asked("statuses=enqueued");
    expect(requests).toEqual([]);
    expect(body).toEqual({ results: [], total: 0, limit: 20, from: null, next: null });
  });

  it("takes canceledBy for the batches of these cancelations", async () => {
    const { requests } = await asked("canceledBy=4,5&uids=5,6");
    expect(requests).toMatchObject([
      { uids: [5n], types: [TaskType.TASK_CANCELATION], statuses: [TaskStatus.SUCCEEDED], canceledBy: [] },
    ]);
  });
});

describe("one batch", () => {
  const holding = (held: Task) =>
    controlWith({ getTask: async () => create(GetTaskResponseSchema, { task: held }) });

  it("is not there before its task has started", async () => {
    const control = holding(task({ status: TaskStatus.ENQUEUED }));
    await expect(getBatch(new TaskLookups(control), "7", signal, none)).rejects.toMatchObject({
      status: 404,
      body: { code: "batch_not_found", message: "Batch `7` not found." },
    });
  });

  it("is hidden with its task", async () => {
    const visibility = {
      kind: "some",
      indexUids: ["books"],
      shows: (uid: string) => uid === "books",
    } as const;
    await expect(
      getBatch(new TaskLookups(holding(task())), "7", signal, none, visibility),
    ).rejects.toMatchObject({
      status: 404,
    });
  });
});
