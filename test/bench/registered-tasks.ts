import type { MessageInitShape } from "@bufbuild/protobuf";
import { type TaskSchema, TaskStatus, TaskType } from "../../src/gen/miroir/v1/tasks_pb.js";
import type { Topology } from "../../src/gen/miroir/v1/topology_pb.js";
import type { TopologySize } from "./large-topology.js";

/** The fleet of which tasks are registered. */
export const REGISTERED_SIZE: TopologySize = { indexes: 20, shards: 64, nodes: 3 };

/** A batch of documents that every node of that fleet has just accepted, as its proxy registers it. */
export function registeredTask(
  uid: bigint,
  { indexes, nodes }: Topology,
): MessageInitShape<typeof TaskSchema> {
  const index = indexes[Number(uid) % indexes.length];
  return {
    uid,
    indexUid: index?.uid ?? "",
    instance: index?.instance ?? "",
    type: TaskType.DOCUMENT_ADDITION_OR_UPDATE,
    status: TaskStatus.ENQUEUED,
    detailsJson: '{"receivedDocuments":100,"indexedDocuments":null}',
    nodeTasks: nodes.map(({ id }) => ({ nodeId: id, nodeTaskUid: Number(uid), status: TaskStatus.ENQUEUED })),
  };
}
