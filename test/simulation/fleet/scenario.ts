import type { WriteKind } from "../../chaos-harness/history.js";
import type { FleetShape } from "./fleet.js";
import type { Disk } from "./node.js";
import type { NetworkFaults } from "./node-network.js";

/** What goes wrong on purpose, or is done to the fleet, while clients write and read. */
export type Disturbance =
  | "breakStreams"
  | "damageNode"
  | "endProxy"
  | "fillDisk"
  | "killBetweenCommits"
  | "killControl"
  | "killNode"
  | "killProxy"
  | "operate"
  | "partition"
  | "pauseControl"
  | "pauseProxy"
  | "stopNode";

/** Aims runs at something: what it says holds instead of what is drawn from the seed, and everything else is drawn as ever. */
export interface Scenario {
  readonly shape?: Partial<FleetShape>;
  /** Drawn from these alone. */
  readonly disturbances?: readonly Disturbance[];
  /** Longest pause between two disturbances. Milliseconds. */
  readonly disturbedEveryMs?: number;
  /** How long a disturbance lasts, at most. Milliseconds. */
  readonly lastsMs?: number;
  /** What damaged nodes come back with. */
  readonly disks?: readonly Disk[];
  readonly network?: Partial<NetworkFaults>;
  readonly streamDelayMs?: number;
  readonly writes?: readonly WriteKind[];
  /** Longest pause of a client between two requests. Milliseconds. */
  readonly clientPauseMs?: number;
  /** Clients write nothing while a node is away, and nothing any more once one is damaged, so that it is not left behind and repaired. */
  readonly quietWhileAway?: boolean;
  /** Some of the writes are edits that count, which no two replicas survive alike if one of them runs such a task twice. */
  readonly counts?: boolean;
}
