import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Hello, type Lease, type LeaseHolder, LeaseSchema } from "../../gen/miroir/v1/topology_pb.js";
import { holderChanges } from "./holder-changes.js";

/** What a proxy is told of its lease. */
export interface LeaseAnswer {
  /** The same array as long as they are the same; nobody changes it. */
  readonly holders: LeaseHolder[];
  readonly rest: MessageInitShape<typeof LeaseSchema>;
}

/**
 * The message that tells a proxy of its lease. Of the holders it says no more than what is new to a proxy that remembers those it was `told` of last
 * on its stream.
 */
export function leaseMessage(
  { holders, rest }: LeaseAnswer,
  told: readonly LeaseHolder[] | undefined,
  { keepsHolders, takesHolderChanges }: Pick<Hello, "keepsHolders" | "takesHolderChanges">,
): Lease {
  const message = create(LeaseSchema, rest);
  const kept = keepsHolders ? told : undefined;
  const changes = kept === undefined || !takesHolderChanges ? undefined : holderChanges(kept, holders);
  if (kept === holders) message.holdersUnchanged = true;
  else if (changes === undefined) message.holders = holders;
  else {
    message.holdersChanged = true;
    message.holdersGone = changes.gone;
    message.holders = changes.added;
    message.holderPlaces = changes.places;
  }
  return message;
}
