import type { Timer, World } from "../../runtime/world.js";
import { SLOW_START_MS } from "./replica-latency.js";

/** Limits of {@link createNodeHealth}. */
export interface NodeHealthOptions {
  /** Failures in a row after which a node is avoided; 3 unless given. */
  readonly failuresToOpen?: number;
  /** How long a node is avoided before it is tried again; 1,000 ms unless given. Doubles with every failed trial. */
  readonly openMs?: number;
  /** How long a node is avoided whose connection broke; 2,000 ms unless given. */
  readonly brokenMs?: number;
  /** The longest that a node is avoided between trials; 10,000 ms unless given. */
  readonly maxOpenMs?: number;
  /** How long a node takes to come back to a whole share of the reads; 10,000 ms unless given. */
  readonly slowStartMs?: number;
}

/** One call to a node, from its start to exactly one of the ends. */
export interface NodeCall {
  /** The node answered, whatever it said. */
  succeeded(): void;
  /** The node did not answer, was too slow, or answered that it is broken. */
  failed(): void;
  /**
   * The connection to the node broke: it may have been restarted, and is avoided at once, for long enough that the control plane
   * sees what it came back with (invariant 13).
   */
  brokeOff(): void;
  /** The call was given up for reasons that say nothing about the node. */
  abandoned(): void;
}

/**
 * What this proxy has seen of the nodes: requests under way, and a circuit for each. After some failures in
 * a row the circuit opens and reads avoid the node while another copy exists; after a while the node is
 * tried in the background (half open), so that no client waits for the trial, and the circuit closes when
 * the trial succeeds. A hint, never a reason to refuse: the only copy is asked whatever its circuit says.
 */
export interface NodeHealth {
  /** Grows whenever the circuit of some node opens or closes. */
  readonly version: number;
  isAvoided(nodeId: string): boolean;
  /** How much of its share of reads a node is to get after it was avoided: from 0 to 1. */
  warmth(nodeId: string): number;
  inFlight(nodeId: string): number;
  begin(nodeId: string): NodeCall;
  /** Ids of the nodes whose circuit is open. */
  avoided(): readonly string[];
  /** Ends all trials. */
  close(): void;
}

/** Tries a node; resolves when it answers as a healthy node does. A node that is gone should resolve too. */
export type NodeTrial = (nodeId: string) => Promise<void>;

interface NodeState {
  inFlight: number;
  failuresInRow: number;
  open: { openMs: number; timer: Timer } | undefined;
  /** Of the last opening; the next one within this time starts from twice as long. */
  lastOpenMs: number;
  closedAt: number;
}

/** What a call that ended badly means for its node. */
interface BadEnds {
  failed(nodeId: string, state: NodeState): void;
  brokeOff(nodeId: string, state: NodeState): void;
}

class CountedCall implements NodeCall {
  #isOver = false;

  constructor(
    private readonly nodeId: string,
    private readonly state: NodeState,
    private readonly badEnds: BadEnds,
  ) {
    state.inFlight++;
  }

  succeeded(): void {
    if (this.#end()) this.state.failuresInRow = 0;
  }

  failed(): void {
    if (this.#end()) this.badEnds.failed(this.nodeId, this.state);
  }

  brokeOff(): void {
    if (this.#end()) this.badEnds.brokeOff(this.nodeId, this.state);
  }

  abandoned(): void {
    this.#end();
  }

  /** Whether the call has ended only now. */
  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.state.inFlight--;
    return true;
  }
}

/** Watches nodes. `trial` is called only for nodes whose circuit is open. */
export function createNodeHealth(
  world: World,
  trial: NodeTrial,
  options: NodeHealthOptions = {},
): NodeHealth {
  const failuresToOpen = options.failuresToOpen ?? 3;
  const firstOpenMs = options.openMs ?? 1_000;
  const brokenMs = options.brokenMs ?? 2_000;
  const maxOpenMs = options.maxOpenMs ?? 10_000;
  const slowStartMs = options.slowStartMs ?? SLOW_START_MS;
  const states = new Map<string, NodeState>();
  let version = 0;
  let closed = false;

  const stateOf = (nodeId: string): NodeState => {
    const existing = states.get(nodeId);
    if (existing !== undefined) return existing;
    const state = {
      inFlight: 0,
      failuresInRow: 0,
      open: undefined,
      lastOpenMs: 0,
      closedAt: Number.NEGATIVE_INFINITY,
    };
    states.set(nodeId, state);
    return state;
  };

  const arm = (nodeId: string, state: NodeState, openMs: number): void => {
    if (closed) return;
    const timer = world.timers.after(openMs, () => {
      trial(nodeId).then(
        () => state.open === opening && closeCircuit(state),
        () => state.open === opening && arm(nodeId, state, Math.min(maxOpenMs, openMs * 2)),
      );
    });
    const opening = { openMs, timer };
    state.open = opening;
    state.lastOpenMs = openMs;
  };

  const closeCircuit = (state: NodeState): void => {
    if (state.open === undefined) return;
    state.open.timer.cancel();
    state.open = undefined;
    state.failuresInRow = 0;
    state.closedAt = world.clock.monotonic();
    version++;
  };

  const open = (nodeId: string, state: NodeState, openMs: number): void => {
    if (state.open !== undefined || closed) return;
    const relapsed = world.clock.monotonic() - state.closedAt < maxOpenMs;
    arm(nodeId, state, relapsed ? Math.min(maxOpenMs, state.lastOpenMs * 2) : openMs);
    version++;
  };

  const brokeOff = (nodeId: string, state: NodeState): void => {
    if (state.open === undefined) {
      open(nodeId, state, brokenMs);
      return;
    }
    // It may have been restarted once more, and has to be waited for from now on.
    state.open.timer.cancel();
    arm(nodeId, state, Math.max(brokenMs, state.open.openMs));
  };

  const failed = (nodeId: string, state: NodeState): void => {
    state.failuresInRow++;
    if (state.failuresInRow >= failuresToOpen) open(nodeId, state, firstOpenMs);
  };

  const badEnds: BadEnds = { failed, brokeOff };

  return {
    get version() {
      return version;
    },
    isAvoided: (nodeId) => states.get(nodeId)?.open !== undefined,
    warmth(nodeId) {
      const state = states.get(nodeId);
      if (state === undefined) return 1;
      return state.open === undefined
        ? Math.min(1, (world.clock.monotonic() - state.closedAt) / slowStartMs)
        : 0;
    },
    inFlight: (nodeId) => states.get(nodeId)?.inFlight ?? 0,
    begin(nodeId) {
      return new CountedCall(nodeId, stateOf(nodeId), badEnds);
    },
    avoided: () => [...states].filter(([, state]) => state.open !== undefined).map(([nodeId]) => nodeId),
    close() {
      closed = true;
      for (const state of states.values()) state.open?.timer.cancel();
    },
  };
}
