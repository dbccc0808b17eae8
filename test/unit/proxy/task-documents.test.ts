import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  NodeTaskSchema,
  type Task,
  TaskSchema,
  TaskStatus,
  TaskType,
} from "../../../src/gen/miroir/v1/tasks_pb.js";
import { type NodeTransport, NodeUnavailableError } from "../../../src/meilisearch/transport.js";
import {
  SEQUENCE_FIELD,
  SHARD_FIELD,
  sequenceCode,
  shardCode,
} from "../../../src/placement/injected-fields.js";
import { readTaskDocuments } from "../../../src/proxy/read/task-documents.js";
import type { TopologySource } from "../../../src/proxy/topology/topology-view.js";

const signal = new AbortController().signal;

/** A document as a node keeps it. */
function kept(document: string, shard: number, sequence: number): string {
  const fields = `"${SHARD_FIELD}":"${shardCode(shard)}","${SEQUENCE_FIELD}":"${sequenceCode(sequence)}"`;
  return `${document.slice(0, -1)},${fields}}`;
}

/** Reads an addition's documents from nodes that keep these files; a node without one has indexed its part, an absent one is away. */
function read(
  files: Readonly<Record<string, string | undefined>>,
  task: Partial<Pick<Task, "type" | "status">> = {},
) {
  const asked: string[] = [];
  const transport: NodeTransport = {
    async request(node, { path }) {
      asked.push(`${node.id} ${path}`);
      if (!(node.id in files)) throw new NodeUnavailableError(node.id, "not-sent", "it is away");
      const file = files[node.id];
      return { status: file === undefined ? 404 : 200, contentType: "", body: Buffer.from(file ?? "{}") };
    },
    close: () => Promise.resolve(),
  };
  const nodes = new Map(["a", "b", "c"].map((id) => [id, { id, writeAddress: { id, url: "" } }]));
  const topology = { current: () => ({ nodes, byInstance: new Map() }) } as unknown as TopologySource;
  const given = create(TaskSchema, {
    uid: 7n,
    type: TaskType.DOCUMENT_ADDITION_OR_UPDATE,
    status: TaskStatus.PROCESSING,
    nodeTasks: [
      create(NodeTaskSchema, { nodeId: "a", nodeTaskUid: 1, shards: [0] }),
      create(NodeTaskSchema, { nodeId: "b", nodeTaskUid: 2, shards: [0, 1] }),
      create(NodeTaskSchema, { nodeId: "c", nodeTaskUid: 3, shards: [1] }),
    ],
    ...task,
  });
  const text = readTaskDocuments(transport, topology, given, signal).then((bytes) => bytes.toString());
  return { text, asked };
}

const one = kept('{"id":1,"n":12345678901234567890}', 0, 10);
const two = kept('{"id":2}', 1, 11);
const three = kept('{"id":3,"_miroir_expires_at":5}', 0, 12);
const all = '{"id":1,"n":12345678901234567890}{"id":2}{"id":3,"_miroir_expires_at":5}';

describe("the documents of an addition", () => {
  it("are in the order of the request, each once, byte for byte and without what Miroir adds", async () => {
    const { text, asked } = read({ b: `${three}${two}${one}` });
    expect(await text).toBe(all);
    expect(asked).toEqual(["b /tasks/2/documents"]);
  });

  it("are put together from other replicas where a node has finished, or is away", async () => {
    expect(await read({ a: `${one}${three}`, b: undefined, c: two }).text).toBe(all);
    expect(await read({ a: `${one}${three}`, c: two }).text).toBe(all);
  });

  it("are those that are left", async () => {
    expect(await read({ a: undefined, b: undefined, c: two }).text).toBe('{"id":2}');
  });

  it.each([
    ["every node has finished", { a: undefined, b: undefined, c: undefined }, {}],
    ["the task has finished", { b: one }, { status: TaskStatus.SUCCEEDED }],
    ["it is another kind of task", { b: one }, { type: TaskType.DOCUMENT_DELETION }],
  ])("are not there where %s", async (_, files, task) => {
    await expect(read(files, task).text).rejects.toMatchObject({
      status: 404,
      body: {
        code: "task_file_not_found",
        message:
          "Task `7` does not contain any documents. Only `documentAdditionOrUpdate` tasks with the statuses `enqueued` or `processing` contain documents",
      },
    });
  });
});
