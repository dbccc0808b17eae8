import { createHash } from "node:crypto";
import type { Topology } from "../gen/miroir/v1/topology_pb.js";
import { topologyPieces } from "./topology-bytes.js";

/**
 * SHA-256, in lower-case hexadecimal, of a topology's content: its binary form without epoch and hash. Freezes the topology's indexes; see
 * {@link topologyPieces}.
 *
 * Control plane and proxy compute it alike, because the binary form is deterministic: fields go out in
 * ascending order, the message holds no maps, and fields that an older program does not know are kept
 * behind those that it knows. So fields may only ever be appended, with growing numbers.
 */
export function contentHash(topology: Topology): string {
  const { epoch: _, ...rest } = topology;
  const hash = createHash("sha256");
  for (const piece of topologyPieces({ ...rest, contentHash: "" })) hash.update(piece);
  return hash.digest("hex");
}
