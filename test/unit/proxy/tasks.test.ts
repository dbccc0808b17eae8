import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  ListTasksResponseSchema,
  TaskErrorSchema,
  TaskSchema,
  TaskStatus,
  TaskType,
} from "../../../src/gen/miroir/v1/tasks_pb.js";
import {
  ControlRefusedError,
  type ControlTransport,
  ControlUnavailableError,
} from "../../../src/proxy/control-transport.js";
import { TaskLookups } from "../../../src/proxy/read/task-lookups.js";
import { getTask, listTasks, readTaskSelection, selectionRequest } from "../../../src/proxy/read/tasks.js";
import { printTask } from "../../../src/tasks/print-task.js";
import { formatDuration, formatInstant, formatMoment, parseInstant } from "../../../src/tasks/rfc3339.js";

const signal = new AbortController().signal;
const none = () => undefined;

type ListRequest = Parameters<ControlTransport["listTasks"]>[0];

function controlWith(methods: Partial<ControlTransport>): ControlTransport {
  return methods as ControlTransport;
}

/** A control plane that keeps what it was asked and answers with nothing, or with `tasks`. */
function listing(uids: readonly bigint[] = [], next?: bigint) {
  const asked: ListRequest[] = [];
  const control = controlWith({
    listTasks: async (request) => {
      asked.push(request);
      return create(ListTasksResponseSchema, {
        tasks: uids.map((uid) => create(TaskSchema, { uid, type: TaskType.INDEX_CREATION })),
        total: 40n,
        ...(next === undefined ? {} : { next }),
      });
    },
  });
  return { asked, control };
}

describe("a task as clients see it", () => {
  const enqueuedAt = { seconds: 1_795_264_433n, nanos: 939_701_050 };
  const startedAt = { seconds: 1_795_264_433n, nanos: 940_530_101 };
  const finishedAt = { seconds: 1_795_264_435n, nanos: 245_230_753 };

  it("has Meilisearch's members in its order, once it has succeeded", () => {
    const task = create(TaskSchema, {
      uid: 4n,
      indexUid: "movies",
      type: TaskType.DOCUMENT_ADDITION_OR_UPDATE,
      status: TaskStatus.SUCCEEDED,
      detailsJson: '{"receivedDocuments":3,"indexedDocuments":3}',
      enqueuedAt,
      startedAt,
      finishedAt,
      customMetadata: "mine",
    });
    expect(printTask(task)).toBe(
      '{"uid":4,"batchUid":4,"indexUid":"movies","status":"succeeded","type":"documentAdditionOrUpdate","canceledBy":null,' +
        '"details":{"receivedDocuments":3,"indexedDocuments":3},"error":null,"duration":"PT1.304700652S",' +
        '"enqueuedAt":"2026-11-21T12:33:53.93970105Z","startedAt":"2026-11-21T12:33:53.940530101Z",' +
        '"finishedAt":"2026-11-21T12:33:55.245230753Z","customMetadata":"mine"}',
    );
  });

  it("has nulls for what has not happened, and no details where there are none", () => {
    const task = create(TaskSchema, {
      uid: 5n,
      type: TaskType.TASK_CANCELATION,
      status: TaskStatus.ENQUEUED,
      enqueuedAt,
    });
    expect(JSON.parse(printTask(task))).toEqual({
      uid: 5,
      batchUid: null,
      indexUid: null,
      status: "enqueued",
      type: "taskCancelation",
      canceledBy: null,
      error: null,
      duration: null,
      enqueuedAt: "2026-11-21T12:33:53.93970105Z",
      startedAt: null,
      finishedAt: null,
    });
  });

  it("carries the error of a failure", () => {
    const error = { message: "m", code: "c", type: "t", link: "l" };
    const task = create(TaskSchema, {
      uid: 6n,
      status: TaskStatus.FAILED,
      error: create(TaskErrorSchema, error),
    });
    expect(JSON.parse(printTask(task))).toMatchObject({ status: "failed", error });
  });
});

describe("lists of tasks", () => {
  it("hand every filter to the control plane", async () => {
    const { asked, control } = listing();
    await listTasks(
      control,
      "limit=3&from=9&reverse=true&uids=1,2&canceledBy=7&types=indexcreation,*&statuses=FAILED,enqueued&indexUids=a,b-c" +
        "&afterEnqueuedAt=2021-12-03&beforeEnqueuedAt=2021-12-03&afterStartedAt=2021-12-03T10:00:00.5%2B01:00&beforeStartedAt=*",
      signal,
    );
    expect(asked).toEqual([
      {
        limit: 3,
        from: 9n,
        reverse: true,
        uids: [1n, 2n],
        canceledBy: [7n],
        types: [],
        statuses: [TaskStatus.FAILED, TaskStatus.ENQUEUED],
        indexUids: ["a", "b-c"],
        afterEnqueuedAt: { seconds: 1_638_576_000n, nanos: 0 },
        beforeEnqueuedAt: { seconds: 1_638_489_600n, nanos: 0 },
        afterStartedAt: { seconds: 1_638_522_000n, nanos: 500_000_000 },
      },
    ]);
  });

  it("print the page as Meilisearch does", async () => {
    const { control } = listing([12n, 11n], 10n);
    expect(JSON.parse(await listTasks(control, "limit=2", signal))).toMatchObject({
      total: 40,
      limit: 2,
      from: 12,
      next: 10,
    });
    const { control: empty, asked } = listing();
    expect(await listTasks(empty, "", signal)).toBe(
      '{"results":[],"total":40,"limit":20,"from":null,"next":null}',
    );
    expect(asked[0]?.limit).toBe(20);
  });

  it("of limit 0 say where the first page begins", async () => {
    const { control } = listing([12n], 11n);
    expect(await listTasks(control, "limit=0", signal)).toBe(
      '{"results":[],"total":40,"limit":0,"from":null,"next":12}',
    );
  });

  it.each(["uids=", "types=dsrClear", "indexUids=", "uids=1&batchUids=2"])(
    "are empty for %s",
    async (query) => {
      const { control, asked } = listing([1n]);
      expect(await listTasks(control, query, signal)).toBe(
        '{"results":[],"total":0,"limit":20,"from":null,"next":null}',
      );
      expect(asked).toEqual([]);
    },
  );

  it("are 503 while the control plane is away", async () => {
    const control = controlWith({
      listTasks: () => Promise.reject(new ControlUnavailableError("away")),
      getTask: () => Promise.reject(new ControlUnavailableError("away")),
    });
    const away = { status: 503, retryAfterSeconds: 1, body: { code: "miroir_control_unavailable" } };
    await expect(listTasks(control, "", signal)).rejects.toMatchObject(away);
    await expect(getTask(new TaskLookups(control), "1", signal, none)).rejects.toMatchObject(away);
  });
});

describe("one task", () => {
  it("is known to the proxy that accepted it before the control plane is told", async () => {
    const control = controlWith({
      getTask: () => Promise.reject(new ControlUnavailableError("away")),
    });
    const kept = create(TaskSchema, { uid: 7n, indexUid: "movies", status: TaskStatus.ENQUEUED });
    expect(
      await getTask(new TaskLookups(control), "7", signal, (uid) => (uid === 7n ? kept : undefined)),
    ).toBe(kept);
  });

  it("is 404 where there is none", async () => {
    const control = controlWith({
      getTask: () => Promise.reject(new ControlRefusedError("not_found", "no")),
    });
    await expect(getTask(new TaskLookups(control), "9999", signal, none)).rejects.toMatchObject({
      status: 404,
      body: { code: "task_not_found", message: "Task `9999` not found." },
    });
  });

  it.each(["abc", "-1", "99999999999", "1.5", ""])("is 400 for the uid %j", async (uid) => {
    await expect(getTask(new TaskLookups(controlWith({})), uid, signal, none)).rejects.toMatchObject({
      status: 400,
      body: { code: "invalid_task_uids" },
    });
  });
});

describe("times", () => {
  it("that a clock has given always have a fraction, for clients that cannot read others", () => {
    expect(formatMoment({ seconds: 0n, nanos: 0 })).toBe("1970-01-01T00:00:00.0Z");
    expect(formatMoment({ seconds: 1n, nanos: 20_000_000 })).toBe("1970-01-01T00:00:01.02Z");
  });

  it("come back from their text", () => {
    for (const text of [
      "1970-01-01T00:00:00Z",
      "2000-02-29T23:59:59.123456789Z",
      "2026-11-21T12:33:53.5Z",
      "1969-12-31T23:59:59Z",
      "2100-03-01T00:00:00.000001Z",
    ]) {
      const instant = parseInstant(text, "that-day");
      expect(instant).toBeDefined();
      if (instant !== undefined) expect(formatInstant(instant)).toBe(text);
    }
  });

  it.each([
    "",
    "x",
    "2021",
    "2021-13-01",
    "2021-02-29",
    "2021-12-03T25:00:00Z",
    "2021-12-03T10:00:00",
    "2021-1-1",
  ])("are not read from %j", (text) => expect(parseInstant(text, "that-day")).toBeUndefined());

  it("have durations as Meilisearch prints them", () => {
    const at = (seconds: bigint, nanos = 0) => ({ seconds, nanos });
    expect(formatDuration(at(1n), at(1n))).toBe("PT0S");
    expect(formatDuration(at(1n), at(62n))).toBe("PT61S");
    expect(formatDuration(at(1n), at(1n, 123_000_000))).toBe("PT0.123S");
    expect(formatDuration(at(1n), at(1n, 123_456_000))).toBe("PT0.123456S");
    expect(formatDuration(at(1n, 999_999_999), at(2n, 999_999_998))).toBe("PT0.999999999S");
    expect(formatDuration(at(0n), at(86_400n))).toBe("P1D");
    expect(formatDuration(at(0n), at(86_401n))).toBe("P1DT1S");
    expect(formatDuration(at(2n), at(1n))).toBeNull();
  });
});

describe("the filters of a deletion or cancelation", () => {
  const all = { kind: "all" } as const;

  it("are as of a list, without a page", () => {
    const selected = readTaskSelection("indexUids=a,b&uids=1,2&batchUids=2,3&types=dsrUpdate", "delete", all);
    expect(selected).toMatchObject({ indexUids: ["a", "b"], uids: [2], types: [] });
    expect(selectionRequest(selected)).toBeUndefined();
    expect(selectionRequest(readTaskSelection("uids=1", "cancel", all))).toMatchObject({ uids: [1n] });
    expect(() => readTaskSelection("uids=1&limit=2", "delete", all)).toThrow(/Unknown parameter `limit`/);
  });

  it("have to be given, be it as a star", () => {
    expect(() => readTaskSelection("", "cancel", all)).toThrow(/filter the tasks to cancel are missing/);
    expect(selectionRequest(readTaskSelection("uids=*", "delete", all))).toMatchObject({ uids: [] });
  });

  it("reach no index that the key may not touch", () => {
    const some = { kind: "some", indexUids: ["a"], shows: (uid: string) => uid === "a" } as const;
    expect(readTaskSelection("statuses=failed", "delete", some).indexUids).toEqual(["a"]);
    expect(selectionRequest(readTaskSelection("indexUids=b", "delete", some))).toBeUndefined();
  });
});
