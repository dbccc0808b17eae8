import { connect as connectPlain } from "node:net";
import { connect as connectTls } from "node:tls";
import { AbstractConnector, Redis, type RedisOptions } from "ioredis";
import type { Timers } from "../../runtime/world.js";
import type { HostPort } from "../store-location.js";

/** Nodes that are remembered beyond the seeds. */
const maxKnownNodes = 64;
/** Milliseconds for one node to say who serves the slot. */
const askTimeoutMs = 2_000;
const pauseBetweenRoundsMs = 200;

/** How the node that serves a slot is found. */
export interface SlotConnectorOptions {
  readonly seeds: readonly HostPort[];
  /** Any key of the slot. */
  readonly key: string;
  /** Credentials and TLS, for every node alike. */
  readonly client: RedisOptions;
  readonly timers: Timers;
}

/** What a client needs to stay with the node that serves one slot. */
export interface SlotRouting {
  /** To be given to the client as its `Connector`. */
  readonly Connector: new (
    options: unknown,
  ) => AbstractConnector;
  /** Takes the target of a `MOVED` reply, as `host:port`: it is asked first by the next connection. */
  learn(address: string): void;
}

/**
 * Connects a plain client to the node of a cluster that serves one slot, found anew by every connection. All keys of
 * a store are in one slot, so one such connection is all it takes: commands never cross nodes, `WAIT` counts the
 * right replicas, and nothing sends a command twice, as a cluster client does after some errors.
 */
export function routeToSlot(options: SlotConnectorOptions): SlotRouting {
  const nameOf = ({ host, port }: HostPort): string => `${host}:${port}`;
  const seeds = new Set(options.seeds.map(nameOf));
  const known = new Map<string, HostPort>();
  const remember = (node: HostPort): void => {
    if (known.size < maxKnownNodes) known.set(nameOf(node), node);
  };
  /** What does not answer is left to the seeds and to other nodes to name again. */
  const forget = (node: HostPort): void => {
    if (!seeds.has(nameOf(node))) known.delete(nameOf(node));
  };
  for (const seed of options.seeds) remember(seed);
  let hint: HostPort | undefined;
  let turn = 0;

  /** The hint, then every known node; each round begins with another, since any of them may be out of date. */
  const candidates = (): readonly HostPort[] => {
    const nodes = [...known.values()];
    const start = turn++ % nodes.length;
    const rotated = [...nodes.slice(start), ...nodes.slice(0, start)];
    const first = hint;
    hint = undefined;
    return first === undefined ? rotated : [first, ...rotated];
  };

  class SlotConnector extends AbstractConnector {
    constructor() {
      super(options.client.disconnectTimeout ?? askTimeoutMs);
    }

    /** Only a primary serves writes. */
    override check(info: { readonly role?: string }): boolean {
      return info.role === undefined || info.role === "master";
    }

    override async connect(report: (type: string, error: Error) => void) {
      this.connecting = true;
      for (;;) {
        let failure: unknown;
        for (const node of candidates()) {
          try {
            const { owner, others } = await askForOwner(node, options);
            for (const other of [owner, ...others]) remember(other);
            this.assertWanted();
            const { tls } = options.client;
            this.stream = tls ? connectTls({ ...tls, ...owner }) : connectPlain(owner);
            this.stream.once("error", (error: Error) => {
              this.firstError = error;
            });
            return this.stream;
          } catch (error) {
            failure = error;
            forget(node);
            this.assertWanted();
          }
        }
        report("error", new Error("no node of the cluster says who serves the store", { cause: failure }));
        await options.timers.sleep(pauseBetweenRoundsMs);
        this.assertWanted();
      }
    }

    private assertWanted(): void {
      if (!this.connecting) throw new Error("Connection is closed.");
    }
  }

  return {
    Connector: SlotConnector,
    learn: (address) => {
      const colon = address.lastIndexOf(":");
      const port = Number(address.slice(colon + 1));
      // Without a host the node itself does not know under which name others see the target.
      if (colon > 0 && Number.isInteger(port)) hint = { host: address.slice(0, colon), port };
    },
  };
}

/** Asks one node which one serves the slot. */
async function askForOwner(
  node: HostPort,
  { key, client }: SlotConnectorOptions,
): Promise<{ owner: HostPort; others: readonly HostPort[] }> {
  const redis = new Redis({
    ...client,
    ...node,
    lazyConnect: true,
    retryStrategy: null,
    enableReadyCheck: false,
    enableOfflineQueue: true,
    connectTimeout: askTimeoutMs,
    commandTimeout: askTimeoutMs,
  });
  // Its failures reach the commands.
  redis.on("error", () => undefined);
  try {
    const slot = Number(await redis.call("CLUSTER", "KEYSLOT", key));
    const ranges = (await redis.call("CLUSTER", "SLOTS")) as [number, number, ...unknown[]][];
    const others: HostPort[] = [];
    let owner: HostPort | undefined;
    for (const [first, last, ...replicaSet] of ranges) {
      const nodes = replicaSet.flatMap((entry) => addressOf(entry, node.host));
      if (first <= slot && slot <= last) owner = nodes[0];
      others.push(...nodes);
    }
    if (owner === undefined) throw new Error(`no node serves slot ${slot}`);
    return { owner, others };
  } finally {
    redis.disconnect();
  }
}

/** Of an entry of CLUSTER SLOTS; a node that does not know its own address is the one that was asked. */
function addressOf(entry: unknown, askedHost: string): HostPort[] {
  if (!Array.isArray(entry)) return [];
  const [host, port] = entry as unknown[];
  if (typeof port !== "number") return [];
  return [{ host: typeof host === "string" && host !== "" && host !== "?" ? host : askedHost, port }];
}
