/** Compares what the replicas of a shard hold at the end of a run. */
import { grouped } from "../grouped.js";
import type { Violation } from "./violation.js";

/** What one node holds of one shard. */
export interface ReplicaContents {
  readonly index: string;
  readonly shard: number;
  readonly node: string;
  /** Canonical texts of whole documents, with what Miroir adds to them, sorted. */
  readonly documents: readonly string[];
}

/** Replicas of a shard that serve it hold the same documents, byte for byte. */
export function checkReplicas(contents: readonly ReplicaContents[]): readonly Violation[] {
  return [...grouped(contents, ({ index, shard }) => `${index}, shard ${shard}`)].flatMap(
    ([place, replicas]): Violation[] => {
      const [first, ...others] = replicas;
      if (first === undefined) return [];
      return others
        .filter(({ documents }) => documents.join("\n") !== first.documents.join("\n"))
        .map((other) => ({
          kind: "divergent-replicas",
          detail: `${place}: ${only(first, other)}; ${only(other, first)}`,
        }));
    },
  );
}

function only(one: ReplicaContents, other: ReplicaContents): string {
  const alone = one.documents.filter((document) => !other.documents.includes(document));
  return `${one.node} alone holds ${alone.slice(0, 3).join(" ") || "nothing"}`;
}
