/** What the HTTP side and the read path of a proxy can be told. */
export interface ProxyConfig {
  /** The key that clients need; undefined leaves everything open. */
  readonly masterKey?: string | undefined;
  /** Largest body in bytes, after decompression. */
  readonly maxBodyBytes: number;
  /** What a read gets when some shards cannot be read. */
  readonly unavailableShardPolicy: "partial" | "error";
  /** Whether reads go to as few nodes as can serve them, or to all of a group. */
  readonly readSpread: "few" | "many";
  /** A node that has not answered a read for this long is not waited for alone; longer where all replicas take long. Milliseconds. */
  readonly hedgeDelayMs: number;
  /** Requests to nodes that reads may send for the case that another replica is slow, in percent of those they need. */
  readonly hedgePercent: number;
  /** Whether replicas that take much longer than their peers are spared. */
  readonly adaptiveReads: boolean;
  /** The longest that one node is waited for in a read. Milliseconds. */
  readonly nodeTimeoutMs: number;
  /** The longest that a whole read may take. Milliseconds. */
  readonly readTimeoutMs: number;
  /** Reads under way at once. */
  readonly maxConcurrentReads: number;
  /** Reads that wait for their turn; more are turned away with 503. */
  readonly maxQueuedReads: number;
  /** How long a read waits for its turn before it is turned away. Milliseconds. */
  readonly queueWaitMs: number;
  /** How long it waits where some have been waiting all the time for as long as `queueWaitMs`. Milliseconds. */
  readonly overloadWaitMs: number;
  /** Whether equal searches that wait for their turn are answered by one. */
  readonly coalesceSearches: boolean;
  /** How long {@link ProxyServer.close} waits for requests under way. Milliseconds. */
  readonly closeTimeoutMs: number;
  /** How long a write may take that another proxy has taken. Milliseconds. */
  readonly forwardTimeoutMs: number;
  /** How long a write is held while its index has no writer that takes it. Milliseconds. */
  readonly writeHoldMs: number;
  /** How long after the end of this proxy's write lease writes are held for the next one. Milliseconds. */
  readonly leaseHoldMs: number;
  /** Writes held at once. */
  readonly maxHeldWrites: number;
  /** How long a read waits for the settings version that it asks for. Milliseconds. */
  readonly settingsFloorWaitMs: number;
}

/** The configuration of a proxy of which nothing was said. */
export const DEFAULT_PROXY_CONFIG: ProxyConfig = {
  maxBodyBytes: 100_000_000,
  unavailableShardPolicy: "partial",
  readSpread: "few",
  hedgeDelayMs: 500,
  hedgePercent: 4,
  adaptiveReads: true,
  nodeTimeoutMs: 10_000,
  readTimeoutMs: 30_000,
  maxConcurrentReads: 256,
  maxQueuedReads: 1_024,
  queueWaitMs: 5_000,
  overloadWaitMs: 500,
  coalesceSearches: true,
  closeTimeoutMs: 10_000,
  forwardTimeoutMs: 60_000,
  writeHoldMs: 15_000,
  leaseHoldMs: 10_000,
  maxHeldWrites: 1_000,
  settingsFloorWaitMs: 1_000,
};
