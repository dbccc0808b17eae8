import { create } from "@bufbuild/protobuf";
import type { NodeCredentials } from "../../gen/miroir/v1/topology_pb.js";
import { NodeCredentialsSchema } from "../../gen/miroir/v1/topology_pb.js";
import { createNodeClient, type NodeClient } from "../../meilisearch/node-client.js";
import type { NodeAddress, NodeTransport } from "../../meilisearch/transport.js";

/** How the control plane reaches one node. */
export interface NodeAccess {
  readonly id: string;
  readonly url: string;
  /** The key that the operator configured, which may manage keys; undefined where the node asks for none. */
  readonly configuredKey: string | undefined;
  /** The keys that Miroir made there; undefined until the node answered once. Empty strings for a node without keys. */
  readonly keys: { readonly writeKey: string; readonly adminKey: string } | undefined;
}

/** A node that the topology names, but for which this process has no access. */
export class UnknownNodeError extends Error {
  override readonly name = "UnknownNodeError";
}

/** Addresses and keys of the nodes; kept in memory only, because every start asks the nodes for them. */
export class NodeDirectory {
  readonly #transport: NodeTransport;
  readonly #nodes = new Map<string, NodeAccess>();
  readonly #listeners = new Set<() => void>();

  constructor(transport: NodeTransport) {
    this.#transport = transport;
  }

  put(access: NodeAccess): void {
    const held = this.#nodes.get(access.id);
    this.#nodes.set(access.id, access);
    const same =
      held?.keys?.writeKey === access.keys?.writeKey && held?.keys?.adminKey === access.keys?.adminKey;
    if (same && held !== undefined) return;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Forgets a node. */
  remove(nodeId: string): void {
    if (!this.#nodes.delete(nodeId)) return;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Calls back after the keys of a node have changed; returns the function that ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get(nodeId: string): NodeAccess | undefined {
    return this.#nodes.get(nodeId);
  }

  ids(): readonly string[] {
    return [...this.#nodes.keys()];
  }

  /** A client with the operator's key. @throws UnknownNodeError */
  keyManager(nodeId: string): NodeClient {
    const access = this.#access(nodeId);
    return createNodeClient(this.#transport, addressOf(access, access.configuredKey));
  }

  /** A client for control work: tasks, settings, creation and deletion. @throws UnknownNodeError */
  admin(nodeId: string): NodeClient {
    const access = this.#access(nodeId);
    return createNodeClient(
      this.#transport,
      addressOf(access, access.keys?.adminKey ?? access.configuredKey),
    );
  }

  /** What proxies need to reach the nodes, for every node whose keys are known. */
  credentials(): NodeCredentials[] {
    return [...this.#nodes.values()].flatMap(({ id, keys }) =>
      keys === undefined
        ? []
        : [create(NodeCredentialsSchema, { nodeId: id, writeKey: keys.writeKey, adminKey: keys.adminKey })],
    );
  }

  #access(nodeId: string): NodeAccess {
    const access = this.#nodes.get(nodeId);
    if (access === undefined) throw new UnknownNodeError(`node ${nodeId} is not configured here`);
    return access;
  }
}

function addressOf(access: NodeAccess, key: string | undefined): NodeAddress {
  return { id: access.id, url: access.url, ...(key === undefined || key === "" ? {} : { key }) };
}
