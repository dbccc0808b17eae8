import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  aliasName,
  apiKeyHash,
  ConflictError,
  canaryId,
  FencedError,
  type FencingToken,
  InvalidArgumentError,
  indexInstance,
  jobId,
  nodeId,
  rolloverPolicyName,
  scopedKeyUid,
  sinkName,
  type TaskStore,
  type TopologyRow,
  taskUid,
  workflowId,
} from "../../../../src/store/task-store.js";
import { lead, type StoreFactory, type StoreHarness, scope, task } from "../harness.js";

const topology = (term: number, counter: number, clusterId = "c1"): TopologyRow => ({
  clusterId,
  term,
  counter,
  contentHash: `hash ${term}.${counter}`,
  document: Uint8Array.from([0, 255, 10, counter]),
});

const canary = {
  id: canaryId("c"),
  name: "c",
  indexUid: "i",
  intervalSeconds: 60,
  queryJson: "{}",
  assertionsJson: "[]",
  enabled: true,
  createdAt: 1,
  updatedAt: 1,
};

/** Every method of a store's tables that takes a leader's token, but those of the leases themselves; as `table.method`, sorted. */
function fencedMethods(): string[] {
  const source = (path: string): string =>
    readFileSync(new URL(`../../../../src/store/${path}`, import.meta.url), "utf8").replace(
      /\/\*\*[\s\S]*?\*\//g,
      "",
    );
  const members = new Map(
    [...source("task-store.ts").matchAll(/readonly (\w+): (\w+);/g)].map(([, member = "", type = ""]) => [
      type,
      member,
    ]),
  );
  const folder = new URL("../../../../src/store/tables/", import.meta.url);
  const methods = readdirSync(folder).flatMap((file) =>
    [...source(`tables/${file}`).matchAll(/export interface (\w+)[^{]*\{([\s\S]*?)\n\}/g)].flatMap(
      ([, type = "", body = ""]) =>
        [...body.matchAll(/\n {2}(\w+)\(([\s\S]*?)\): Promise</g)]
          .filter(([, , parameters = ""]) => parameters.includes("FencingToken"))
          .map(([, method = ""]) => `${members.get(type)}.${method}`),
    ),
  );
  return methods.filter((name) => !name.startsWith("lease.")).sort();
}

export function describeFencing(factory: StoreFactory): void {
  let harness: StoreHarness;
  let store: TaskStore;

  beforeEach(async () => {
    harness = await factory();
    store = await harness.open();
  });
  afterEach(() => harness.dispose());

  describe("fence", () => {
    const writes: Record<string, (store: TaskStore, fence: FencingToken) => Promise<unknown>> = {
      "topology.save": (to, fence) => to.topology.save(undefined, topology(fence.term, 1), fence),
      "tasks.allocateUids": (to, fence) => to.tasks.allocateUids(1, fence),
      "tasks.upsert": (to, fence) => to.tasks.upsert([task(1)], fence),
      "tasks.applyNodeTaskUpdates": (to, fence) => to.tasks.applyNodeTaskUpdates([], fence),
      "nodeCursors.put": (to, fence) => to.nodeCursors.put([], fence),
      "nodeCursors.delete": (to, fence) => to.nodeCursors.delete(nodeId("node-0"), fence),
      "nodeSettingsVersions.put": (to, fence) => to.nodeSettingsVersions.put([], fence),
      "nodeSettingsVersions.delete": (to, fence) =>
        to.nodeSettingsVersions.delete(indexInstance("i"), undefined, fence),
      "workflows.put": (to, fence) =>
        to.workflows.put(
          {
            id: workflowId("w"),
            kind: "k",
            step: "s",
            stateJson: "{}",
            createdAt: 1,
            updatedAt: 1,
            finishedAt: null,
          },
          fence,
        ),
      "jobs.enqueue": (to, fence) => to.jobs.enqueue({ id: jobId("j"), type: "t", paramsJson: "{}" }, fence),
      "jobs.cancel": (to, fence) => to.jobs.cancel(jobId("j"), fence),
      "tasks.delete": (to, fence) => to.tasks.delete([taskUid(1)], fence),
      "aliases.set": (to, fence) =>
        to.aliases.set(
          { name: aliasName("a"), target: { kind: "single", indexUid: "i" }, expectedVersion: 0, at: 1 },
          fence,
        ),
      "aliases.delete": (to, fence) => to.aliases.delete(aliasName("a"), 1, fence),
      "canaries.put": (to, fence) => to.canaries.put(canary, fence),
      "canaries.delete": (to, fence) => to.canaries.delete(canary.id, fence),
      "canaryRuns.record": async (to, fence) => {
        // Under a fence that is refused there is no canary either, and the fence is what is answered.
        await to.canaries.put(canary, fence).catch(() => undefined);
        await to.canaryRuns.record(
          { canaryId: canary.id, ranAt: 1, status: "pass", latencyMs: 1, failedAssertionsJson: null },
          fence,
        );
      },
      "cdcCursors.advance": (to, fence) =>
        to.cdcCursors.advance([{ sink: sinkName("s"), indexUid: "i", lastEventSeq: 1, updatedAt: 1 }], fence),
      "cdcCursors.delete": (to, fence) => to.cdcCursors.delete(sinkName("s"), undefined, fence),
      "cdcOverflow.append": (to, fence) =>
        to.cdcOverflow.append(sinkName("s"), [Uint8Array.from([1])], fence),
      "cdcOverflow.acknowledge": (to, fence) => to.cdcOverflow.acknowledge(sinkName("s"), 0, fence),
      "tenants.put": (to, fence) =>
        to.tenants.put([{ apiKeyHash: apiKeyHash("a".repeat(64)), tenantId: "t", groupId: null }], fence),
      "tenants.delete": (to, fence) => to.tenants.delete(apiKeyHash("a".repeat(64)), fence),
      "rolloverPolicies.put": (to, fence) =>
        to.rolloverPolicies.put(
          {
            name: rolloverPolicyName("r"),
            writeAlias: "w",
            readAlias: "r",
            pattern: "logs-{YYYY}",
            triggersJson: "{}",
            retentionJson: "{}",
            templateJson: "{}",
            enabled: true,
            updatedAt: 1,
          },
          fence,
        ),
      "rolloverPolicies.delete": (to, fence) => to.rolloverPolicies.delete(rolloverPolicyName("r"), fence),
      "searchUiConfig.put": (to, fence) =>
        to.searchUiConfig.put({ indexUid: "i", configJson: "{}", updatedAt: 1 }, fence),
      "searchUiConfig.delete": (to, fence) => to.searchUiConfig.delete("i", fence),
      "scopedKeys.publish": (to, fence) =>
        to.scopedKeys.publish(
          {
            indexUid: "i",
            uid: scopedKeyUid("00000000-0000-4000-8000-000000000001"),
            expectedGeneration: 0,
            at: 1,
          },
          fence,
        ),
      "scopedKeys.retire": (to, fence) =>
        to.scopedKeys.retire({ indexUid: "i", generation: 1, liveProxies: [] }, fence),
      "scopedKeys.delete": (to, fence) => to.scopedKeys.delete("i", fence),
      "retention.pruneCanaryRuns": (to, fence) => to.retention.pruneCanaryRuns({ ranBefore: 1 }, fence),
      "retention.pruneExpired": (to, fence) => to.retention.pruneExpired({}, fence),
      "retention.pruneTasks": (to, fence) => to.retention.pruneTasks({}, fence),
      "retention.pruneWorkflows": (to, fence) => to.retention.pruneWorkflows({ finishedBefore: 1 }, fence),
      "retention.pruneJobs": (to, fence) => to.retention.pruneJobs({ finishedBefore: 1 }, fence),
    };

    it("is asked for by every write of a leader that there is", () => {
      expect(Object.keys(writes).sort()).toEqual(fencedMethods());
    });

    for (const [name, write] of Object.entries(writes)) {
      it(`refuses ${name} of a former leader, and stores nothing`, async () => {
        const former = await lead(store, "a", 100);
        harness.clock.advance(100);
        const current = await lead(await harness.open(), "b");
        const refusal = await write(store, former).catch((error: unknown) => error);
        expect(refusal).toBeInstanceOf(FencedError);
        expect(refusal).toMatchObject({
          code: "fenced",
          outcome: "certainly-aborted",
          term: former.term,
          currentTerm: current.term,
        });
        expect(await store.topology.load()).toBeUndefined();
        expect(await store.tasks.list({}, { limit: 1 })).toMatchObject({ total: 0 });
        expect(await store.workflows.listOpen()).toEqual([]);
        expect(await store.jobs.list()).toEqual([]);
        expect(await store.tasks.allocateUids(1, current)).toBe(0);
        await expect(write(store, current)).resolves.not.toThrow();
      });
    }

    it("refuses writes after the lease was released, and before anybody held it", async () => {
      const stranger = { scope, holder: "a", term: 1 };
      await expect(store.tasks.upsert([task(1)], stranger)).rejects.toBeInstanceOf(FencedError);
      const token = await lead(store, "a");
      await store.lease.release(token);
      await expect(store.tasks.upsert([task(1)], token)).rejects.toBeInstanceOf(FencedError);
    });

    it("refuses an old number also of a holder that holds the lease again", async () => {
      const old = await lead(store, "a", 100);
      harness.clock.advance(100);
      const current = await lead(store, "a");
      await expect(store.tasks.upsert([task(1)], old)).rejects.toBeInstanceOf(FencedError);
      await expect(store.tasks.allocateUids(1, old)).rejects.toBeInstanceOf(FencedError);
      expect(await store.lease.renew(old, 100)).toBeUndefined();
      expect(await store.lease.release(old)).toBe(false);
      await expect(store.tasks.upsert([task(1)], current)).resolves.toHaveLength(1);
    });

    it("lets a holder write after the end of its lease while nobody has taken over", async () => {
      const token = await lead(store, "a", 100);
      harness.clock.advance(1_000);
      await expect(store.tasks.upsert([task(1)], token)).resolves.toHaveLength(1);
    });
  });

  describe("topology", () => {
    it("is absent at first, then comes back byte for byte, also through another handle", async () => {
      const fence = await lead(store);
      expect(await store.topology.load()).toBeUndefined();
      await store.topology.save(undefined, topology(1, 1), fence);
      await store.topology.save(topology(1, 1), topology(1, 2), fence);
      const other = await harness.open();
      expect(await other.topology.load()).toEqual(topology(1, 2));
    });

    it("is replaced only from the expected epoch", async () => {
      const fence = await lead(store);
      await expect(store.topology.save(topology(1, 1), topology(1, 2), fence)).rejects.toBeInstanceOf(
        ConflictError,
      );
      await store.topology.save(undefined, topology(1, 5), fence);
      for (const expected of [undefined, topology(1, 4), topology(0, 5), topology(1, 5, "c2")]) {
        await expect(store.topology.save(expected, topology(1, 9), fence)).rejects.toBeInstanceOf(
          ConflictError,
        );
      }
      expect(await store.topology.load()).toEqual(topology(1, 5));
    });

    it("never goes back, to another cluster, or to another leader's term", async () => {
      const fence = await lead(store);
      await store.topology.save(undefined, topology(1, 5), fence);
      for (const next of [topology(1, 5), topology(1, 4), topology(1, 6, "c2")]) {
        await expect(store.topology.save(topology(1, 5), next, fence)).rejects.toBeInstanceOf(ConflictError);
      }
      await expect(store.topology.save(topology(1, 5), topology(2, 1), fence)).rejects.toBeInstanceOf(
        InvalidArgumentError,
      );
      await store.lease.release(fence);
      const next = await lead(store, "b");
      await store.topology.save(topology(1, 5), topology(2, 0), next);
      expect(await store.topology.load()).toEqual(topology(2, 0));
    });
  });
}
