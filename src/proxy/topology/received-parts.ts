import type { Snapshot, SnapshotPart, Topology } from "../../gen/miroir/v1/topology_pb.js";
import { topologyOfParts } from "../../topology/snapshot-parts.js";

/** Bytes of parts, compressed, that may wait for their snapshot. */
const MAX_BYTES = 256 * 1024 * 1024;

/** The parts of a snapshot on one topology stream, until the snapshot itself follows them. */
export class ReceivedParts {
  #nonce: bigint | undefined;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  /** Takes a part; those of another snapshot before it are forgotten, as are those that would be too many. */
  add({ data, nonce }: SnapshotPart): void {
    if (nonce !== this.#nonce || this.#bytes + data.length > MAX_BYTES) this.#forget();
    this.#nonce = nonce;
    this.#parts.push(data);
    this.#bytes += data.length;
  }

  /**
   * The topology of a snapshot, be it in the message or in the parts before it, which are forgotten.
   *
   * @throws Error where there is none, or where the parts make none
   */
  topologyOf({ nonce, topology }: Snapshot): Topology {
    const parts = nonce === this.#nonce ? this.#parts : [];
    this.#forget();
    if (topology !== undefined) return topology;
    if (parts.length === 0) throw new Error("the snapshot holds no topology");
    return topologyOfParts(parts);
  }

  #forget(): void {
    this.#nonce = undefined;
    this.#parts = [];
    this.#bytes = 0;
  }
}
