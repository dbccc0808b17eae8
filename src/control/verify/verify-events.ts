import type { DifferenceKind } from "../../gen/miroir/v1/verify_pb.js";

/** A difference, as `VerifyDifference` of the proto files tells it. */
export interface FoundDifference {
  readonly kind: DifferenceKind;
  readonly indexUid: string;
  readonly nodeId?: string;
  readonly shard?: number;
  readonly documentId?: string;
  readonly versions?: readonly { readonly nodeId: string; readonly version: string }[];
  readonly detail: string;
  readonly unsettled?: boolean;
  /** Documents that a difference without a document stands for. */
  readonly count?: number;
}

/** What a verification tells while it goes on. */
export type VerifyEvent =
  | {
      readonly kind: "progress";
      readonly indexUid: string;
      readonly shardsDone: number;
      readonly shards: number;
      /** Documents compared since the last progress of the index. */
      readonly documents: number;
    }
  | { readonly kind: "difference"; readonly difference: FoundDifference }
  /** The index was looked at; counted once for each of its replicas. */
  | { readonly kind: "replicas"; readonly count: number };
