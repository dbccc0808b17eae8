import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { NodeState } from "../../src/client/index.js";
import { hasRealNode } from "../support/nodes.js";
import { miroir } from "./cli-process.js";
import { FailingFleet } from "./failing-fleet.js";

// Minutes of nodes that are away, drained and filled: with MIROIR_LONG_FAILURES=1 alone.
const isAsked = process.env.MIROIR_LONG_FAILURES === "1";
if (!isAsked) process.stderr.write("[failures] SKIPPED the long cases (set MIROIR_LONG_FAILURES=1)\n");

let failing: FailingFleet | undefined;
afterEach(async () => {
  await failing?.fleet.stop();
  failing = undefined;
}, 60_000);

async function start(controlConfig: Readonly<Record<string, unknown>> = {}): Promise<FailingFleet> {
  failing = await FailingFleet.start(120, controlConfig);
  return failing;
}

describe.runIf(isAsked)("a node with another node's data", () => {
  it("stays away until it has its own", async () => {
    const started = await start();
    const { client, fleet } = started;
    const own = `${started.folderOf(0)}-own`;
    const copy = `${started.folderOf(1)}-copy`;
    await fleet.node(1).stop();
    cpSync(started.folderOf(1), copy, { recursive: true });
    await fleet.node(1).restart();
    await started.settled();
    await fleet.node(0).stop();
    renameSync(started.folderOf(0), own);
    mkdirSync(started.folderOf(0));
    cpSync(copy, started.folderOf(0), { recursive: true });
    await fleet.node(0).restart();
    await expect
      .poll(async () => (await client.cluster.listNodes({})).nodes[0]?.lastError, { timeout: 20_000 })
      .toContain("is node-1 of this cluster");
    await started.write(10);
    expect(await started.found()).toBe(started.written);
    await fleet.node(0).stop();
    rmSync(started.folderOf(0), { recursive: true });
    renameSync(own, started.folderOf(0));
    await fleet.node(0).restart();
    rmSync(copy, { recursive: true });
    await started.settled();
    expect(await started.found()).toBe(started.written);
    expect(await started.differing()).toEqual([]);
  }, 180_000);
});

describe.runIf(isAsked)("a node that stays away", () => {
  it("is replaced by the others after the grace, and is empty when it returns", async () => {
    const started = await start({ node_grace_seconds: 2 });
    const { client, fleet } = started;
    const searches = started.watch();
    await fleet.node(2).kill("SIGKILL");
    await expect
      .poll(async () => (await started.index()).replicas.map(({ nodeId }) => nodeId), { timeout: 60_000 })
      .toEqual(["node-0", "node-1"]);
    expect(await started.nodeStates()).toEqual([NodeState.ACTIVE, NodeState.ACTIVE, NodeState.DRAINING]);
    expect((await client.cluster.getStatus({})).warnings.join()).toContain("node-2 was away for too long");
    await started.write(20);
    expect(await started.differing()).toEqual([]);
    await fleet.node(2).restart();
    await started.settled(2);
    expect(await searches.stop()).toEqual([]);
    const rebalanced = await miroir(["ctl", "rebalance", "--server", fleet.controlAddress()]);
    expect(rebalanced.code).toBe(0);
    await started.settled(3);
    expect(await started.differing()).toEqual([]);
  }, 240_000);
});

describe.runIf(isAsked)("the last copies in sync", () => {
  it("are given up by an operator alone, and then the ones that are behind serve", async () => {
    const started = await start();
    const { fleet } = started;
    await fleet.node(2).kill("SIGKILL");
    await started.write(30);
    await fleet.node(1).kill("SIGKILL");
    await fleet.node(2).restart();
    const args = ["ctl", "elect", "--server", fleet.controlAddress(), "--lost"];
    expect((await miroir([...args, "node-0"])).stderr).toContain("node node-0 answers");
    const nodeAt = async (at: number) => (await started.nodeStates())[at];
    await expect.poll(() => nodeAt(1), { timeout: 20_000 }).toBe(NodeState.UNREACHABLE);
    await expect.poll(() => nodeAt(2), { timeout: 20_000 }).not.toBe(NodeState.UNREACHABLE);
    const told = await miroir([...args, "node-1", "--json"]);
    expect(JSON.parse(told.stdout)).toMatchObject({ elections: [{ lostNodeIds: ["node-1"] }] });
    expect(await started.found()).toBeLessThan(started.written);
    const done = await miroir([...args, "node-1", "--accept-loss"]);
    expect(done.stdout).toContain("node-2, which are behind, serve now");
    await expect
      .poll(() => started.found(), { timeout: 20_000 })
      .toBeGreaterThanOrEqual(started.written - 30);
    await fleet.node(1).restart();
    await started.settled();
    const left = await started.found();
    await started.write(10);
    expect(await started.found()).toBe(left + 10);
    expect(await started.differing()).toEqual([]);
  }, 240_000);
});

/** A file system of that many megabytes in a folder; false where this process may not make one. */
function mounted(folder: string, megabytes: number, option = "size"): boolean {
  const size = option === "size" ? `size=${megabytes}m` : `remount,size=${megabytes}m`;
  return spawnSync("mount", ["-t", "tmpfs", "-o", size, "tmpfs", folder]).status === 0;
}

describe.runIf(isAsked && hasRealNode)("a node whose disk is full", () => {
  it("holds nobody up, and is filled again once there is room", async (context) => {
    const started = await start({ node_stall_seconds: 3 });
    const { fleet } = started;
    const folder = started.folderOf(1);
    await fleet.node(1).stop();
    if (!mounted(folder, 30)) return context.skip();
    try {
      await fleet.node(1).restart();
      await started.settled();
      const searches = started.watch();
      const words = () => Array.from({ length: 60 }, () => Math.random().toString(36).slice(2)).join(" ");
      const text = () => ({ text: words() });
      for (let round = 0; round < 20 && (await nodeIsWhole(started)); round += 1) {
        await started.write(400, text);
      }
      expect(await nodeIsWhole(started)).toBe(false);
      await started.write(5);
      expect(await started.found()).toBe(started.written);
      expect(await searches.stop()).toEqual([]);
      await fleet.node(1).stop();
      expect(mounted(folder, 400, "remount")).toBe(true);
      await fleet.node(1).restart();
      await started.settled();
      expect(await started.differing()).toEqual([]);
    } finally {
      await fleet.node(1).stop();
      spawnSync("umount", [folder]);
    }
  }, 300_000);
});

async function nodeIsWhole(started: FailingFleet): Promise<boolean> {
  return (await started.client.cluster.listNodes({})).nodes[1]?.staleReplicas === 0n;
}
