import assert from "node:assert/strict";
import { createMiroirClient, type MiroirClient, WorkflowStatus } from "../../src/client/index.js";
import { type Index, ReplicaState } from "../../src/gen/miroir/v1/topology_pb.js";
import { meilisearchHttp } from "../support/meilisearch-http.js";
import type { ReplicatedFleet } from "./replicated-fleet.js";
import { StepKiller, type StepReport } from "./step-killer.js";

/** The steps through which a copy goes that moves shards. */
export const MOVE_STEPS = ["planned", "copying", "switched", "dropping", "cleaning", "end"];
/** The steps of one that only brings replicas back: nothing is given up. */
export const REPAIR_STEPS = ["planned", "copying", "switched", "end"];

/** A change of the fleet during which the leader is killed at every step. */
export interface KilledWorkflow {
  readonly fleet: ReplicatedFleet;
  readonly storeUrl: string;
  readonly indexUid: string;
  /** Begins the change; resolves with the workflow's id. */
  readonly begin: (client: MiroirClient) => Promise<string>;
  /** Every step that a copy of it has. */
  readonly steps: readonly string[];
  /** The steps in the middle of which the leader is killed; all of them unless given. */
  readonly killAt?: readonly string[];
}

/** What is left to look at by whoever began it. */
export interface KilledWorkflowOutcome {
  readonly index: Index;
  readonly report: StepReport;
  readonly events: readonly string[];
}

const PATIENCE_MS = 120_000;

/**
 * Carries a change out while the leader is killed in the middle of each of its steps, and checks that it completes, that each copy takes
 * each step once, and that nodes were renamed and cleaned once for it.
 */
export async function killAtEveryStep(options: KilledWorkflow): Promise<KilledWorkflowOutcome> {
  const { fleet, indexUid, storeUrl, steps, killAt = steps } = options;
  const client = createMiroirClient({ baseUrl: `http://${(await fleet.untilLed()).address}` });
  const cleanedBefore = await cleanUps(fleet);
  const killer = await StepKiller.start(fleet, storeUrl, indexUid, killAt);
  const id = await options.begin(client);
  const workflow = await ended(fleet, id);
  // Killed at its last step, it is told by the next leader that it had ended.
  const index = await killer.index();
  const report = await killer.stop();
  const events = workflow.events.map(({ text }) => text);

  assert.equal(workflow.status, WorkflowStatus.COMPLETED, events.join("\n"));
  assert.deepEqual([...report.killedAt].sort(), [...killAt].sort());
  const copies = [...new Set(report.steps.map(({ copy }) => copy))];
  for (const copy of copies) {
    const taken = report.steps.filter((seen) => seen.copy === copy).map(({ step }) => step);
    // A step may be over between two looks; none is seen twice, and none out of turn.
    const inTurn = steps.filter((step) => taken.includes(step));
    assert.deepEqual(taken, inTurn, `copy ${copy}`);
  }
  // A rename that was not recorded uses up a number, but has no effect; one is recorded for each step that takes one.
  const renames = steps.includes("dropping") ? 2 : 1;
  const recorded = report.generations.length - 1;
  assert.equal(recorded, copies.length * renames, `generations ${report.generations.join(", ")}`);
  assert.equal(index.copy, undefined);
  assert.ok(index.replicas.every(({ state }) => state === ReplicaState.IN_SYNC));
  for (const text of ["begun", "completed"]) {
    assert.equal(events.filter((event) => event === text).length, 1, events.join("\n"));
  }
  const planned = events.filter((text) => text.endsWith("is planned")).length;
  assert.ok(planned <= copies.length, events.join("\n"));
  for (const [at, count] of (await cleanUps(fleet)).entries()) {
    const own = count - (cleanedBefore[at] ?? 0);
    assert.ok(own <= copies.length, `${own} clean-ups on node ${at} of ${copies.length} copies`);
  }
  return { index, report, events };
}

/** The workflow once it has ended, whoever leads then. */
async function ended(fleet: ReplicatedFleet, id: string) {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; ) {
    const leading = await fleet.leader();
    if (leading !== undefined) {
      const client = createMiroirClient({ baseUrl: `http://${leading.address}` });
      const answer = await client.workflows.getWorkflow({ id }).catch(() => undefined);
      if (answer?.workflow?.finishedAt !== undefined) return answer.workflow;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`workflow ${id} has not ended within ${PATIENCE_MS} ms`);
}

/** How many deletions by filter each node has run: what cleans left-over shards is one. */
async function cleanUps(fleet: ReplicatedFleet): Promise<readonly number[]> {
  return Promise.all(
    fleet.nodes.map(async ({ masterKey, pid, url }) => {
      if (pid === undefined) return 0;
      const node = meilisearchHttp(url, masterKey);
      const { results } = await node.ok<{ results: { details: { originalFilter?: string | null } }[] }>(
        "GET",
        "/tasks?types=documentDeletion&limit=10000",
      );
      return results.filter(({ details }) => details.originalFilter?.includes("_miroir_shard")).length;
    }),
  );
}
