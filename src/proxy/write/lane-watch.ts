import type { Touch } from "./copy/lane-writes.js";
import type { SettledWrite } from "./index-write.js";

/** Told of every write of an index, in the order of its lane, but for those that Miroir makes on its own account. */
export interface LaneWatch {
  /** The write is about to be sent. */
  sending(sequence: number, touch: Touch): void;
  /** What became of it; never told where the proxy gives up before. */
  settled(sequence: number, touch: Touch, outcome: SettledWrite): void;
}
