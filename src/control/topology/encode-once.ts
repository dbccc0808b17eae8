import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  DeltaSchema,
  type LeaseHolder,
  LeaseSchema,
  SnapshotSchema,
  type SubscribeResponse,
  type Topology,
  type TopologyService,
} from "../../gen/miroir/v1/topology_pb.js";
import { topologyBytes } from "../../topology/topology-bytes.js";

/**
 * The same service for the wire: what many proxies are sent alike (a snapshot's topology, a delta's changes, the holders of leases) is encoded
 * once, and carried by their messages as bytes. On the wire nothing is different, in the process those fields are empty.
 */
export function encodeOnce(
  service: ServiceImpl<typeof TopologyService>,
): ServiceImpl<typeof TopologyService> {
  const shared = new SharedFields();
  return {
    ...service,
    async *subscribe(requests, context) {
      for await (const response of service.subscribe(requests, context)) {
        yield shared.carriedBy(response as SubscribeResponse);
      }
    },
  };
}

/** Of the tag of a field with a number up to 15, as all of these have: writing a field as bytes writes its tag. */
const TAG_BYTES = 1;

class SharedFields {
  readonly #known = new WeakMap<object, Uint8Array>();
  /** Of the newest topology alone, because it may be large. */
  #snapshot: { readonly of: Topology; readonly bytes: Uint8Array } | undefined;

  carriedBy(response: SubscribeResponse): SubscribeResponse {
    const { message } = response;
    switch (message.case) {
      case "snapshot": {
        const { topology } = message.value;
        if (topology === undefined) return response;
        const value = withField(message.value, SnapshotSchema.field.topology.number, this.#whole(topology));
        value.topology = undefined;
        return { ...response, message: { case: "snapshot", value } };
      }
      case "delta": {
        const { changes } = message.value;
        if (changes === undefined) return response;
        const bytes = this.#field(changes, DeltaSchema, { changes }).subarray(TAG_BYTES);
        const value = withField(message.value, DeltaSchema.field.changes.number, bytes);
        value.changes = undefined;
        return { ...response, message: { case: "delta", value } };
      }
      case "lease": {
        const { holders } = message.value;
        if (holders.length === 0) return response;
        const value = withField(message.value, LeaseSchema.field.holders.number, this.#holders(holders));
        value.holders = [];
        return { ...response, message: { case: "lease", value } };
      }
      default:
        return response;
    }
  }

  #whole(topology: Topology): Uint8Array {
    if (this.#snapshot?.of !== topology) {
      this.#snapshot = { of: topology, bytes: new BinaryWriter().bytes(topologyBytes(topology)).finish() };
    }
    return this.#snapshot.bytes;
  }

  /** Every proxy that comes or goes makes another list, in which the other holders are the same objects. */
  #holders(holders: readonly LeaseHolder[]): Uint8Array {
    const known = this.#known.get(holders);
    if (known !== undefined) return known;
    const fields = holders.map((holder) => this.#field(holder, LeaseSchema, { holders: [holder] }));
    const bytes = Buffer.concat(fields).subarray(TAG_BYTES);
    this.#known.set(holders, bytes);
    return bytes;
  }

  /** A message that has one field, with the tag that it begins with. */
  #field<D extends DescMessage>(of: object, schema: D, message: MessageInitShape<D>): Uint8Array {
    const known = this.#known.get(of) ?? toBinary(schema, create(schema, message));
    this.#known.set(of, known);
    return known;
  }
}

/** A copy that carries one more field as bytes, the way fields do that a program does not know. */
function withField<M extends SubscribeResponse["message"]["value"] & object>(
  message: M,
  no: number,
  data: Uint8Array,
): M {
  const field = { no, wireType: WireType.LengthDelimited, data };
  return { ...message, $unknown: [...(message.$unknown ?? []), field] };
}
