import type { StoreLimits } from "../../../src/store/limits.js";
import {
  type FencingToken,
  indexInstance,
  leaseScope,
  type NodeTaskRow,
  nodeId,
  nodeTaskUid,
  type TaskRow,
  type TaskStore,
  taskUid,
} from "../../../src/store/task-store.js";

/** A clock that stands still until a test moves it. */
export class ManualClock {
  #now: number;

  constructor(now = 1_700_000_000_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  advance(ms: number): void {
    this.#now += ms;
  }
}

/** Says how a child process opens the same store; see `open-backend.ts`. */
export interface BackendSpec {
  /** The store's URL. */
  readonly url: string;
}

/** The server that keeps the store, where it is one process that the tests may hurt. */
export interface BackendServer {
  /** Sends a signal; resolves at once. */
  signal(signal: NodeJS.Signals): void;
  /** Ends the process with SIGKILL and waits for its end. */
  kill(): Promise<void>;
  /** Starts it again on the same data; resolves when it answers. */
  start(): Promise<void>;
  /** The connections of stores that it has. */
  connections(): Promise<ReadonlySet<string>>;
  /** Resolves when it has no others, and so has done all that came over them. */
  whenLeftBy(others: ReadonlySet<string>): Promise<void>;
}

/** One backend with one empty store. */
export interface StoreHarness {
  /** Undefined on backends without a server of their own. */
  readonly server?: BackendServer;
  readonly clock: ManualClock;
  readonly spec: BackendSpec;
  /** Another handle on the same store. */
  open(limits?: Partial<StoreLimits>): Promise<TaskStore>;
  /** Fails where what finds tasks differs from what the tasks themselves say. */
  expectConsistentTasks(): Promise<void>;
  /** Closes what is open and deletes the store. */
  dispose(): Promise<void>;
}

/** Creates an empty store. */
export type StoreFactory = () => Promise<StoreHarness>;

/** The scope that the tests lead under. */
export const scope = leaseScope("leader");

/** Takes the leader lease, which must be free. */
export async function lead(store: TaskStore, holder = "control-1", ttlMs = 10_000): Promise<FencingToken> {
  const lease = await store.lease.acquire({ scope, holder, ttlMs });
  if (lease === undefined) throw new Error("somebody else holds the lease");
  return { scope: lease.scope, holder: lease.holder, term: lease.term };
}

/** An enqueued document addition, with what `overrides` changes. */
export function task(uid: number, overrides: Partial<TaskRow> = {}): TaskRow {
  return {
    uid: taskUid(uid),
    indexUid: "movies",
    instance: indexInstance("abcd2345"),
    type: "documentAdditionOrUpdate",
    status: "enqueued",
    detailsJson: null,
    error: null,
    enqueuedAt: 1_000 + uid,
    startedAt: null,
    finishedAt: null,
    canceledBy: null,
    customMetadata: null,
    documentsByShard: new Map(),
    nodeTasks: [],
    ...overrides,
  };
}

/** An enqueued node task, with what `overrides` changes. */
export function nodeTask(node: string, uid: number, overrides: Partial<NodeTaskRow> = {}): NodeTaskRow {
  return {
    nodeId: nodeId(node),
    nodeTaskUid: nodeTaskUid(uid),
    status: "enqueued",
    error: null,
    shards: [],
    detailsJson: null,
    startedAt: null,
    finishedAt: null,
    ...overrides,
  };
}
