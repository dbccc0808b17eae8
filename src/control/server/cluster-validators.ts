import {
  AddGroupRequestSchema,
  AddNodeRequestSchema,
  type NewNode,
  RepairRequestSchema,
  ReplaceNodeRequestSchema,
  ReshardRequestSchema,
  SetReplicationRequestSchema,
} from "../../gen/miroir/v1/cluster_pb.js";
import type { Faults, ValidatorTable } from "./validation.js";

const MAX_GROUP = 63;
const MAX_REPLICAS = 16;
const MAX_NEW_NODES = 256;
const MAX_WEIGHT = 1_000;
const MIN_WEIGHT = 0.01;
const NODE_ID = /^[a-z0-9][a-z0-9.-]{0,62}$/;
const ZONE = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/;
const MAX_SHARDS = 4_096;
const MAX_LIST = 10_000;

/** Adds the bounds of the requests that change the fleet. */
export function addClusterValidators(table: ValidatorTable): ValidatorTable {
  return table
    .add(AddNodeRequestSchema, ({ node, group }, faults) => {
      checkNewNode(node, "node", faults);
      faults.check((group ?? 0) <= MAX_GROUP, "group", `at most ${MAX_GROUP}`);
    })
    .add(ReplaceNodeRequestSchema, ({ node }, faults) => {
      if (node !== undefined) checkNewNode(node, "node", faults);
    })
    .add(AddGroupRequestSchema, ({ group, nodes }, faults) => {
      faults.check((group ?? 0) <= MAX_GROUP, "group", `at most ${MAX_GROUP}`);
      const fits = nodes.length >= 1 && nodes.length <= MAX_NEW_NODES;
      faults.check(fits, "nodes", `must be 1 to ${MAX_NEW_NODES}`);
      for (const [position, node] of nodes.slice(0, MAX_NEW_NODES).entries()) {
        checkNewNode(node, `nodes[${position}]`, faults);
      }
    })
    .add(SetReplicationRequestSchema, ({ replicationFactor }, faults) => {
      const fits = replicationFactor >= 1 && replicationFactor <= MAX_REPLICAS;
      faults.check(fits, "replication_factor", `must be 1 to ${MAX_REPLICAS}`);
    })
    .add(RepairRequestSchema, ({ indexUids, nodeIds }, faults) => {
      faults.check(indexUids.length <= MAX_LIST, "index_uids", `at most ${MAX_LIST}`);
      faults.check(nodeIds.length <= MAX_LIST, "node_ids", `at most ${MAX_LIST}`);
    })
    .add(ReshardRequestSchema, ({ indexUid, shards }, faults) => {
      faults.check(indexUid !== "", "index_uid", "must not be empty");
      faults.check(shards >= 1 && shards <= MAX_SHARDS, "shards", `must be 1 to ${MAX_SHARDS}`);
    });
}

/** The same bounds as for nodes in a configuration file. */
function checkNewNode(node: NewNode | undefined, path: string, faults: Faults): void {
  const { id = "", url = "", weight = 0, zone = "" } = node ?? {};
  const isUrl = URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
  faults.check(isUrl, `${path}.url`, "expected a URL that begins with http:// or https://");
  faults.check(
    id === "" || NODE_ID.test(id),
    `${path}.id`,
    "expected lower-case letters, digits, dots and hyphens",
  );
  faults.check(
    zone === "" || ZONE.test(zone),
    `${path}.zone`,
    "expected letters, digits, dots, slashes, hyphens and underscores",
  );
  const fits = weight === 0 || (weight >= MIN_WEIGHT && weight <= MAX_WEIGHT);
  faults.check(fits, `${path}.weight`, `must be ${MIN_WEIGHT} to ${MAX_WEIGHT}`);
}
