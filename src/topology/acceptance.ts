import type { Topology } from "../gen/miroir/v1/topology_pb.js";
import { contentHash } from "./content-hash.js";
import { compareEpochs, formatEpoch } from "./epoch.js";
import { minProtocolOf, PROTOCOL } from "./protocol.js";

/** What a proxy does with a topology that it received. */
export type Acceptance =
  | { readonly kind: "accept" }
  /** The topology held already; acknowledged without effect. */
  | { readonly kind: "same" }
  | { readonly kind: "refuse"; readonly error: string };

/**
 * Invariant 1, as the receiver keeps it: the epoch only grows, an epoch has one content, and a proxy
 * belongs to one cluster. `held` is the last topology accepted, if any. A topology that takes more than `protocolMax` to understand is refused.
 */
export function judgeTopology(
  held: Topology | undefined,
  received: Topology,
  protocolMax: number = PROTOCOL.max,
): Acceptance {
  if (received.epoch === undefined || received.epoch.clusterId === "") {
    return { kind: "refuse", error: "the topology has no epoch" };
  }
  const hash = contentHash(received);
  if (hash !== received.contentHash) {
    return {
      kind: "refuse",
      error: `the content of epoch ${formatEpoch(received.epoch)} has hash ${hash}, announced was ${received.contentHash}`,
    };
  }
  if (minProtocolOf(received) > protocolMax) {
    return {
      kind: "refuse",
      error: `the topology takes protocol version ${minProtocolOf(received)}, this proxy speaks ${protocolMax} at most: upgrade it`,
    };
  }
  if (held?.epoch === undefined) return { kind: "accept" };
  switch (compareEpochs(received.epoch, held.epoch)) {
    case "higher":
      return { kind: "accept" };
    case "foreign":
      return {
        kind: "refuse",
        error: `foreign cluster: ${received.epoch.clusterId}, this proxy belongs to ${held.epoch.clusterId}`,
      };
    case "lower":
      return {
        kind: "refuse",
        error: `epoch ${formatEpoch(received.epoch)} is lower than ${formatEpoch(held.epoch)}, which is in use`,
      };
    case "equal":
      return received.contentHash === held.contentHash
        ? { kind: "same" }
        : { kind: "refuse", error: `epoch ${formatEpoch(received.epoch)} is in use with other content` };
  }
}
