import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { VerifyService } from "../../gen/miroir/v1/verify_pb.js";
import type { AntiEntropy } from "../anti-entropy/anti-entropy.js";
import { checkMessage } from "../anti-entropy/check-message.js";
import { verifyInventory } from "./node-inventory.js";
import type { VerifyContext, VerifyRun } from "./verify-context.js";
import type { FoundDifference } from "./verify-events.js";
import { verifyIndex } from "./verify-index.js";

const MAX_INDEXES = 1_000;
/** Verifications at once: each keeps every node busy. */
const MAX_RUNNING = 2;

/** Serves verifications of the whole fleet or of single indexes, and comparisons of shards; see the proto file. */
export function createVerifyService(
  context: VerifyContext,
  antiEntropy: Pick<AntiEntropy, "check" | "results">,
): ServiceImpl<typeof VerifyService> {
  let running = 0;
  const refuseMany = (): void => {
    if (running < MAX_RUNNING) return;
    throw new ConnectError(`${MAX_RUNNING} verifications are running already`, Code.ResourceExhausted);
  };
  return {
    async *checkShards({ indexUid, shards, repair }, { signal }) {
      refuseMany();
      const index = context.topology.current().indexes.find(({ uid }) => uid === indexUid);
      if (index === undefined) throw new ConnectError(`there is no index ${indexUid}`, Code.NotFound);
      const strange = shards.find((shard) => shard >= index.shards);
      if (strange !== undefined) {
        throw new ConnectError(
          `index ${indexUid} has ${index.shards} shards, and none of number ${strange}`,
          Code.NotFound,
        );
      }
      const request = { instance: index.instance, repair, ...(shards.length === 0 ? {} : { shards }) };
      running += 1;
      try {
        for await (const check of antiEntropy.check(request, signal)) yield { check: checkMessage(check) };
      } finally {
        running -= 1;
      }
    },
    listShardChecks({ indexUid, onlyDiffering }) {
      const checks = antiEntropy
        .results()
        .filter((check) => indexUid === "" || check.indexUid === indexUid)
        .filter(({ differing, error }) => !onlyDiffering || differing > 0 || error !== "");
      return { checks: checks.map(checkMessage) };
    },
    async *verify({ indexUids, deep }, { signal }) {
      if (indexUids.length > MAX_INDEXES) {
        throw new ConnectError(`index_uids: at most ${MAX_INDEXES}`, Code.InvalidArgument);
      }
      refuseMany();
      const { indexes } = context.topology.current();
      const unknown = indexUids.find((uid) => !indexes.some((index) => index.uid === uid));
      if (unknown !== undefined) throw new ConnectError(`there is no index ${unknown}`, Code.NotFound);
      const asked = indexes.filter(({ uid }) => indexUids.length === 0 || indexUids.includes(uid));
      const run: VerifyRun = { ...context, deep, signal };
      const totals = { indexes: 0, documents: 0n, replicas: 0n, differences: 0n };
      const told = (difference: FoundDifference) => {
        totals.differences += 1n;
        return differenceMessage(difference);
      };
      running += 1;
      try {
        if (indexUids.length === 0) for (const found of await verifyInventory(run)) yield told(found);
        for (const { instance } of asked) {
          totals.indexes += 1;
          for await (const event of verifyIndex(run, instance)) {
            if (event.kind === "difference") yield told(event.difference);
            else if (event.kind === "replicas") totals.replicas += BigInt(event.count);
            else {
              totals.documents += BigInt(event.documents);
              const { indexUid, shardsDone, shards } = event;
              const progress = { indexUid, shardsDone, shards, documents: totals.documents };
              yield { event: { case: "progress" as const, value: progress } };
            }
          }
        }
        yield { event: { case: "summary" as const, value: totals } };
      } finally {
        running -= 1;
      }
    },
  };
}

function differenceMessage({ versions = [], count: _, ...difference }: FoundDifference) {
  const value = { ...difference, versions: versions.map((version) => ({ ...version })) };
  return { event: { case: "difference" as const, value } };
}
