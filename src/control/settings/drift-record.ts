import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { DriftOutcome, type SettingsDrift, SettingsDriftSchema } from "../../gen/miroir/v1/settings_pb.js";

/** Ended differences that are remembered. */
const MAX_ENDED = 200;

/** Where a difference was found. */
export interface DriftPlace {
  readonly instance: string;
  readonly nodeId: string;
}

interface OpenDrift extends DriftPlace {
  readonly indexUid: string;
  readonly members: readonly string[];
  readonly foundAt: number;
}

/** What became of a difference. */
export type EndedOutcome = Exclude<DriftOutcome, DriftOutcome.UNSPECIFIED | DriftOutcome.OPEN>;

/** Differences between nodes and the committed settings: those that are open, and the latest of the others. */
export class DriftRecord {
  readonly #open = new Map<string, OpenDrift>();
  readonly #ended: SettingsDrift[] = [];

  /** Those that are open, the oldest first. */
  open(): readonly OpenDrift[] {
    return [...this.#open.values()];
  }

  isOpen(place: DriftPlace): boolean {
    return this.#open.has(keyOf(place));
  }

  found(drift: OpenDrift): void {
    this.#open.set(keyOf(drift), drift);
  }

  /** Ends a difference; nothing happens where none is open there. */
  end(place: DriftPlace, outcome: EndedOutcome, at: number): void {
    const drift = this.#open.get(keyOf(place));
    if (drift === undefined) return;
    this.#open.delete(keyOf(place));
    this.#ended.unshift(messageOf(drift, outcome, at));
    this.#ended.length = Math.min(this.#ended.length, MAX_ENDED);
  }

  /** Newest first. */
  list(): SettingsDrift[] {
    const open = this.open().map((drift) => messageOf(drift, DriftOutcome.OPEN));
    return [...open.reverse(), ...this.#ended];
  }
}

function keyOf({ instance, nodeId }: DriftPlace): string {
  return `${instance} ${nodeId}`;
}

function messageOf(drift: OpenDrift, outcome: DriftOutcome, endedAt?: number): SettingsDrift {
  const { indexUid, nodeId, members, foundAt } = drift;
  return create(SettingsDriftSchema, {
    indexUid,
    nodeId,
    members: [...members],
    outcome,
    foundAt: timestampFromMs(foundAt),
    ...(endedAt === undefined ? {} : { endedAt: timestampFromMs(endedAt) }),
  });
}
