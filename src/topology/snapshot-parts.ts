import { promisify } from "node:util";
import { gunzipSync, gzip } from "node:zlib";
import type { Topology } from "../gen/miroir/v1/topology_pb.js";
import { decodeTopology } from "./decode-topology.js";
import { topologyPieces } from "./topology-bytes.js";

/** Bytes of a part before it is compressed; one whose last index is large has more. */
const PART_BYTES = 512 * 1024;
/**
 * Each part is compressed once and copied for every proxy. Three to seven tenths less than at the fastest level, in twice the time, is
 * soon worth it; the levels above take much longer for little.
 */
const LEVEL = 5;
/** Bytes of the largest topology that is put together from parts. */
const MAX_TOPOLOGY_BYTES = 1024 * 1024 * 1024;

const compress = promisify(gzip);

/**
 * A topology's binary form, cut into parts that are compressed one by one: each once, when it is first asked for, however many proxies it is sent
 * to. What a proxy that is slow to read keeps in memory is one part.
 */
export class SnapshotParts {
  readonly #groups: readonly (readonly Uint8Array[])[];
  readonly #made = new Map<number, Promise<Uint8Array>>();

  constructor(topology: Topology) {
    const groups: Uint8Array[][] = [];
    let room = 0;
    for (const piece of topologyPieces(topology)) {
      if (room <= 0) {
        groups.push([]);
        room = PART_BYTES;
      }
      groups.at(-1)?.push(piece);
      room -= piece.length;
    }
    this.#groups = groups;
  }

  /** How many parts there are: one where the topology is small. */
  get count(): number {
    return this.#groups.length;
  }

  /** A part by its number, from 0; the same bytes whenever it is asked for. */
  part(at: number): Promise<Uint8Array> {
    const known = this.#made.get(at);
    if (known !== undefined) return known;
    const made = compress(Buffer.concat(this.#groups[at] ?? []), { level: LEVEL });
    this.#made.set(at, made);
    return made;
  }
}

const known = new WeakMap<Topology, SnapshotParts>();

/** The parts of a topology that does not change any more; the same for all who ask. */
export function partsOf(topology: Topology): SnapshotParts {
  const parts = known.get(topology) ?? new SnapshotParts(topology);
  known.set(topology, parts);
  return parts;
}

/**
 * The topology that parts make, in the order in which they were sent.
 *
 * @throws Error where they are not what {@link SnapshotParts} makes, or more than a gigabyte
 */
export function topologyOfParts(parts: readonly Uint8Array[]): Topology {
  let room = MAX_TOPOLOGY_BYTES;
  const inflated = parts.map((part) => {
    const bytes = gunzipSync(part, { maxOutputLength: Math.max(1, room) });
    room -= bytes.length;
    return bytes;
  });
  return decodeTopology(Buffer.concat(inflated));
}
