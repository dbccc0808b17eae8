import type { Node } from "../../gen/miroir/v1/topology_pb.js";

/** A server that an operator wants to have in the fleet. */
export interface NodeToAdmit {
  /** The first free of `node-0`, `node-1` … unless given. */
  readonly id?: string | undefined;
  /** Base URL, without a trailing slash. */
  readonly url: string;
  /** A key that may manage keys there; the one that the configuration has for nodes without their own unless given. */
  readonly key?: string | undefined;
  /** Made where it does not exist. */
  readonly group: number;
  /** Empty where nobody has said. */
  readonly zone?: string | undefined;
  /** 0 stands for 1. */
  readonly weight?: number | undefined;
}

/** Nodes come and go while the control plane runs. */
export interface FleetNodes {
  /**
   * Looks whether a server can be admitted, and changes nothing there but Miroir's own keys. Resolves with the node as it would be
   * entered. Rejects as {@link admit} does.
   */
  inspect(wanted: NodeToAdmit): Promise<Node>;
  /**
   * Takes a server into the fleet: Miroir's keys and its mark are made there, features switched, its log followed, its keys handed to
   * the proxies, and the node entered in the topology as JOINING, so that nothing is placed on it yet. Admitting a node again that is
   * in the fleet under the same URL changes its zone and weight alone.
   *
   * @throws NodeSetupError for a server that does not answer, refuses its key, runs another version, is a node of this fleet already or
   *   has a copy of its data, belongs to another cluster, or holds indexes that are not Miroir's
   */
  admit(wanted: NodeToAdmit): Promise<Node>;
  /**
   * Takes a node out of the fleet: nothing is asked of it any more, Miroir's keys and indexes there are deleted where it answers, and it
   * leaves the topology; its group too where it was the last one there, and copies to it that have not begun. A configured one stays away until it is admitted again.
   *
   * @throws NodeInUseError where an index still has a replica there
   */
  forget(nodeId: string): Promise<void>;
}

/** A node that indexes still have replicas on cannot be forgotten. */
export class NodeInUseError extends Error {
  override readonly name = "NodeInUseError";
  readonly indexUids: readonly string[];

  constructor(nodeId: string, indexUids: readonly string[]) {
    super(
      `node ${nodeId} still has replicas of ${indexUids.length} ${indexUids.length === 1 ? "index" : "indexes"} (${indexUids.slice(0, 5).join(", ")}); drain it first`,
    );
    this.indexUids = indexUids;
  }
}
