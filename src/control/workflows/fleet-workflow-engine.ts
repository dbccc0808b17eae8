import { workflowId } from "../../store/task-store.js";
import { Wakeup } from "../audit/wakeup.js";
import { busyWith } from "../cluster/fleet-change-error.js";
import type { FleetWorkflowRequest, FleetWorkflows } from "../cluster/fleet-workflows.js";
import type { FollowedCopy } from "./copy-ledger.js";
import { type FleetWorkflow, NO_TOTALS } from "./stored-workflow.js";
import { fleetBefore } from "./workflow-goal.js";
import { WorkflowJournal } from "./workflow-journal.js";
import { type WorkflowContext, type WorkflowTuning, workflowTuning } from "./workflow-options.js";
import { WorkflowRun } from "./workflow-run.js";

/** What {@link FleetWorkflowEngine} works with. */
export interface FleetWorkflowOptions extends WorkflowContext {
  readonly tuning?: WorkflowTuning | undefined;
}

/** A workflow with what is known of it beside what is stored. */
export interface WorkflowView {
  readonly workflow: FleetWorkflow;
  readonly copies: readonly FollowedCopy[];
  /** Replicas of shards that are left to copies which have not begun. */
  readonly shardsLeft: number;
  readonly documentsPerSecond: number;
  /** What it waits for; empty where it does not wait. */
  readonly waitingFor: string;
}

/** A workflow cannot be cancelled any more. */
export class WorkflowNotCancellableError extends Error {
  override readonly name = "WorkflowNotCancellableError";
}

/**
 * Carries changes of the fleet out, one at a time: looks what is left to do, has the writers copy the next shards, waits for them, and
 * looks again, until nothing is left. What is left follows from the topology alone, so that a new leader goes on where the last one
 * ended and nothing is done twice; what is stored beside it tells operators, and how to give up (invariant 9).
 */
export class FleetWorkflowEngine implements FleetWorkflows {
  readonly #options: FleetWorkflowOptions;
  readonly #tuning: Required<WorkflowTuning>;
  readonly #journal: WorkflowJournal;
  readonly #wakeup: Wakeup;
  #current: WorkflowRun | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #loop: Promise<void> | undefined;
  #endListening: (() => void) | undefined;
  #stopped = false;

  constructor(options: FleetWorkflowOptions) {
    this.#options = options;
    this.#tuning = workflowTuning(options.tuning);
    this.#journal = new WorkflowJournal(options);
    this.#wakeup = new Wakeup(options.world.timers);
  }

  /** Takes up the workflow that was under way when the last leader ended, and begins to carry workflows out. */
  async resume(): Promise<void> {
    const [open] = await this.#journal.open();
    if (open !== undefined) {
      const run = this.#run(open);
      this.#current = run;
      // Nobody was told that it had begun, so that its goal is nobody's wish.
      const interrupted = { status: "cancelling", reason: "it was interrupted while it began" } as const;
      await run.note("taken up by a new leader", open.status === "starting" ? interrupted : {});
    }
    this.#endListening = this.#options.topology.onChange(() => this.#wakeup.wake());
    this.#loop = this.#carryOut();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#endListening?.();
    this.#wakeup.wake();
    await this.#loop;
  }

  /** Whether the engine has been stopped: nothing more is told of any workflow. */
  get isStopped(): boolean {
    return this.#stopped;
  }

  running(): Pick<FleetWorkflow, "id" | "title" | "makesWay"> | undefined {
    return this.#current?.workflow;
  }

  start(request: FleetWorkflowRequest): Promise<string> {
    return this.#alone(async () => {
      await this.#clearTheWay(request);
      if (this.#current !== undefined) throw busyWith(this.#current.workflow);
      const run = this.#run(this.#newWorkflow(request));
      // From here on it is there for everybody, whatever becomes of its beginning.
      await this.#journal.save(run.workflow);
      this.#current = run;
      try {
        await this.#options.topology.change(request.title, request.begin);
      } catch (error) {
        // Whether the goal is in the topology is not certain; giving up takes it out.
        const reason = error instanceof Error ? error.message : String(error);
        await run.note(`it could not begin: ${reason}`, { status: "failing", reason });
        this.#wakeup.wake();
        throw error;
      }
      await run.note("begun", { status: "running" });
      this.#wakeup.wake();
      return run.workflow.id;
    });
  }

  /**
   * Gives a workflow up. Resolves with it as it is then.
   *
   * @throws WorkflowNotFoundError; WorkflowNotCancellableError where it has ended, or only goes forward
   */
  async cancel(id: string, reason: string): Promise<WorkflowView> {
    await this.#alone(async () => {
      const run = this.#current;
      if (run === undefined || run.workflow.id !== id) {
        const { status, title } = await this.#journal.get(id);
        if (status === "cancelled") return;
        throw new WorkflowNotCancellableError(`workflow ${id} (${title}) is ${status}`);
      }
      if (run.workflow.status !== "running") return;
      if (run.onlyGoesForward()) {
        throw new WorkflowNotCancellableError(
          `workflow ${id} (${run.workflow.title}) has switched all of its copies and only goes forward; it ends by itself`,
        );
      }
      await run.note(reason, { status: "cancelling", reason });
      this.#wakeup.wake();
    });
    return await this.view(id);
  }

  /** A workflow as it is now. @throws WorkflowNotFoundError */
  async view(id: string): Promise<WorkflowView> {
    const run = this.#current;
    return run?.workflow.id === id ? viewOf(run) : endedView(await this.#journal.get(id));
  }

  /** Newest first, behind one that was listed before. */
  async list(limit: number, after: Parameters<WorkflowJournal["list"]>[1]): Promise<readonly WorkflowView[]> {
    const stored = await this.#journal.list(limit, after);
    const run = this.#current;
    return stored.map((workflow) => (run?.workflow.id === workflow.id ? viewOf(run) : endedView(workflow)));
  }

  async #carryOut(): Promise<void> {
    while (!this.#stopped) {
      await this.#alone(() => this.#turn());
      if (this.#stopped) return;
      await this.#wakeup.wait(this.#current === undefined ? IDLE_MS : this.#tuning.intervalMs);
    }
  }

  async #turn(): Promise<void> {
    const run = this.#current;
    if (run === undefined) return;
    try {
      await run.turn();
    } catch (error) {
      const { logger, world } = this.#options;
      logger.warn({ err: error, workflow: run.workflow.id }, "a workflow could not go on; trying again");
      run.failed(error);
      await world.timers.sleep(RETRY_MS);
    }
    if (run.isOver) this.#current = undefined;
  }

  /** Gives up what nobody asked for where somebody asks for something now; waits a while for what has switched already. */
  async #clearTheWay({ makesWay, title }: FleetWorkflowRequest): Promise<void> {
    const run = this.#current;
    if (makesWay === true || run?.workflow.makesWay !== true) return;
    if (run.workflow.status === "running") {
      const reason = `it makes way: ${title}`;
      await run.note(reason, { status: "cancelling", reason });
    }
    const { clock, timers } = this.#options.world;
    const until = clock.monotonic() + MAKING_WAY_MS;
    for (;;) {
      await run.turn();
      if (run.isOver) this.#current = undefined;
      if (run.isOver || this.#stopped || clock.monotonic() >= until) return;
      await timers.sleep(RETRY_MS);
    }
  }

  #newWorkflow({ begin: _, ...request }: FleetWorkflowRequest): FleetWorkflow {
    const { topology, world } = this.#options;
    const current = topology.current();
    const named = current.indexes.filter(({ uid }) => request.indexUids.includes(uid));
    return {
      ...request,
      instances: named.map(({ instance }) => instance),
      id: workflowId(Buffer.from(world.random.bytes(8)).toString("hex")),
      before: fleetBefore(current, [...request.nodeIds, ...request.removeNodeIds]),
      status: "starting",
      reason: "",
      events: [],
      totals: NO_TOTALS,
      createdAt: world.clock.now(),
      finishedAt: null,
    };
  }

  #run(workflow: FleetWorkflow): WorkflowRun {
    return new WorkflowRun(this.#options, this.#tuning, this.#journal, workflow);
  }

  /** Turns and calls take turns. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#last.then(work);
    this.#last = run.catch(() => undefined);
    return run;
  }
}

/** How long an idle engine sleeps: something wakes it where there is anything to do. */
const IDLE_MS = 60_000;
/** How long a caller waits for the end of a workflow that makes way. */
const MAKING_WAY_MS = 5_000;
const RETRY_MS = 250;

function viewOf(run: WorkflowRun): WorkflowView {
  return {
    workflow: run.workflow,
    copies: run.ledger.open(),
    shardsLeft: run.shardsLeft,
    documentsPerSecond: run.ledger.rate(),
    waitingFor: run.waitingFor,
  };
}

function endedView(workflow: FleetWorkflow): WorkflowView {
  return { workflow, copies: [], shardsLeft: 0, documentsPerSecond: 0, waitingFor: "" };
}
