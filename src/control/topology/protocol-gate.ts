import type { Topology } from "../../gen/miroir/v1/topology_pb.js";
import { minProtocolOf, requiredProtocol } from "../../topology/protocol.js";

/** A process that has to understand every topology. */
export interface Speaker {
  /** The newest protocol version that it speaks. */
  readonly max: number;
  /** Its kind, its name and its version, for people. */
  readonly who: string;
}

/** A topology takes a protocol version that a process which has to understand it does not speak. */
export class ProtocolBehindError extends Error {
  override readonly name = "ProtocolBehindError";
  /** What that process speaks at most. */
  readonly spoken: number;
  readonly required: number;
  /** The process to upgrade. */
  readonly upgradeFirst: string;

  constructor(what: string, required: number, { max, who }: Speaker) {
    super(`${what} takes protocol version ${required}, and ${who} speaks ${max} at most: upgrade it first`);
    this.spoken = max;
    this.required = required;
    this.upgradeFirst = who;
  }
}

/**
 * Says in the draft what it takes to understand it. That may grow only to what every process speaks that has to understand it: nothing is
 * written that the next leader, or a connected proxy, would misread. What is in the topology already may always go on.
 *
 * @throws ProtocolBehindError which names the process to upgrade
 */
export function markProtocol(
  base: Topology,
  draft: Topology,
  reason: string,
  speakers: () => readonly Speaker[],
): void {
  const required = requiredProtocol(draft);
  draft.minProtocol = required === 1 ? 0 : required;
  if (required <= minProtocolOf(base)) return;
  const behind = speakers().find(({ max }) => max < required);
  if (behind !== undefined) {
    throw new ProtocolBehindError(`the topology change "${reason}"`, required, behind);
  }
}
