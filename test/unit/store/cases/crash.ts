import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { taskUid, workflowId } from "../../../../src/store/task-store.js";
import type { Acknowledgement } from "../crash-writer.js";
import type { BackendSpec, StoreFactory, StoreHarness } from "../harness.js";
import { lead } from "../harness.js";

const writer = fileURLToPath(new URL("../crash-writer.ts", import.meta.url));
const contender = fileURLToPath(new URL("../lease-contender.ts", import.meta.url));

/** Kills at random moments; more by the environment for long runs. */
const kills = Number(process.env.MIROIR_STORE_KILLS ?? 6);

function start(script: string, spec: BackendSpec, ...args: string[]): ChildProcess {
  return spawn(process.execPath, ["--import", "tsx", script, JSON.stringify(spec), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** Lets a writer acknowledge `count` calls, kills it, and returns all that it acknowledged. */
async function writeUntilKilled(spec: BackendSpec, run: number, count: number): Promise<Acknowledgement[]> {
  const child = start(writer, spec, String(run));
  const acknowledged: Acknowledgement[] = [];
  if (child.stdout === null) throw new Error("the writer has no output");
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(JSON.parse(line) as Acknowledgement);
    if (acknowledged.length === count) child.kill("SIGKILL");
  }
  if (child.signalCode === null && child.exitCode === null) await once(child, "exit");
  expect(child.signalCode).toBe("SIGKILL");
  return acknowledged;
}

export function describeCrashes(factory: StoreFactory): void {
  describe("after kill -9", () => {
    let harness: StoreHarness;

    beforeEach(async () => {
      harness = await factory();
    });
    afterEach(() => harness.dispose());

    it(`has every acknowledged row and no half of one, ${kills} times over`, {
      timeout: 20_000 + kills * 10_000,
    }, async () => {
      const acknowledged: Acknowledgement[] = [];
      for (let run = 0; run < kills; run++) {
        acknowledged.push(...(await writeUntilKilled(harness.spec, run, 20 + ((run * 37) % 90))));
        const store = await harness.open();
        const last = acknowledged.at(-1);
        expect(last).toBeDefined();
        if (last === undefined) return;

        const written = new Set(acknowledged.flatMap(({ first }) => [first, first + 1, first + 2]));
        const { tasks } = await store.tasks.list({}, { limit: 1_000_000, reverse: true });
        const stored = new Set<number>(tasks.map((row) => row.uid));
        for (const uid of written) expect(stored).toContain(uid);
        for (const row of tasks) {
          const first = row.uid - (row.uid % 3);
          expect([first, first + 1, first + 2].every((uid) => stored.has(uid))).toBe(true);
          expect(row.customMetadata).toBe(`task ${row.uid}`);
          expect(row.nodeTasks.map((n) => `${n.nodeId} ${n.nodeTaskUid}`)).toEqual([
            `node-0 ${row.uid}`,
            `node-1 ${row.uid}`,
          ]);
          expect(new Set(row.nodeTasks.map((n) => n.status)).size).toBe(1);
          if (written.has(row.uid)) expect(row.nodeTasks[0]?.status).toBe("succeeded");
        }
        expect((await store.tasks.list({ statuses: ["enqueued"] }, { limit: 0 })).total).toBe(tasks.length);
        expect(await store.tasks.countOpen()).toBe(tasks.length);

        const topology = await store.topology.load();
        expect(topology?.counter).toBeGreaterThanOrEqual(last.counter);
        expect(topology?.contentHash).toBe(`${topology?.counter}`);
        expect([...(topology?.document ?? [])]).toEqual(
          Array.from({ length: 5_000 }, () => (topology?.counter ?? 0) % 256),
        );
        const workflow = await store.workflows.get(workflowId(`run ${run}`));
        expect(Number(workflow?.step)).toBeGreaterThanOrEqual(last.counter);
        expect(workflow?.stateJson).toBe(`{"step":${workflow?.step}}`);
        expect((await store.lease.current((await lead(store, `checker ${run}`, 1)).scope))?.term).toBe(
          2 * run + 2,
        );
        expect(await store.tasks.get(taskUid(last.first))).toBeDefined();
        await store.close();
        harness.clock.advance(60_000);
      }
    });

    it("lets one of several processes create the store and hold the lease", async () => {
      const children = Array.from({ length: 4 }, (_, index) =>
        start(contender, harness.spec, `holder ${index}`, String(harness.clock.now())),
      );
      const outcomes = await Promise.all(
        children.map(async (child) => {
          let output = "";
          child.stdout?.on("data", (chunk: Buffer) => {
            output += chunk.toString();
          });
          const [code] = await once(child, "close");
          return `${code} ${output.trim()}`;
        }),
      );
      expect(outcomes.toSorted()).toEqual(["0 held 1", "0 refused", "0 refused", "0 refused"]);
    });
  });
}
