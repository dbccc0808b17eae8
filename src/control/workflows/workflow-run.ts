import type { Topology } from "../../gen/miroir/v1/topology_pb.js";
import { cancelCopy } from "../copy/copy-steps.js";
import { awayNodes } from "../nodes/away-nodes.js";
import { NodeInUseError } from "../nodes/fleet-nodes.js";
import { addTotals, CopyLedger, type FollowedCopy, hasSwitched, nameOf } from "./copy-ledger.js";
import { type OpenCopy, openCopies, type StartedCopies, shardsOf } from "./copy-starts.js";
import { type FleetWorkflow, isOver, withEvent } from "./stored-workflow.js";
import { StuckCopies } from "./stuck-copies.js";
import { finishGoal, takeGoalBack } from "./workflow-goal.js";
import type { WorkflowJournal } from "./workflow-journal.js";
import type { WorkflowContext, WorkflowTuning } from "./workflow-options.js";
import { beginWork, workOf } from "./workflow-work.js";

/** Other work was found to do when the workflow was about to end. */
class WorkRemainsError extends Error {}

/** One workflow that has not ended, as the leader carries it out: turn after turn, each of which may be the first after a crash. */
export class WorkflowRun {
  readonly ledger: CopyLedger;
  readonly #context: WorkflowContext;
  readonly #tuning: Required<WorkflowTuning>;
  readonly #journal: WorkflowJournal;
  readonly #stuck: StuckCopies;
  #workflow: FleetWorkflow;
  #shardsLeft = 0;
  #waitingFor = "";
  /** When it came further last; monotonic. */
  #movedAt: number;

  constructor(
    context: WorkflowContext,
    tuning: Required<WorkflowTuning>,
    journal: WorkflowJournal,
    workflow: FleetWorkflow,
  ) {
    const { topology, world } = context;
    this.#context = context;
    this.#tuning = tuning;
    this.#journal = journal;
    this.#workflow = workflow;
    this.ledger = new CopyLedger(workflow.id);
    this.#stuck = new StuckCopies(topology, world.clock, tuning.targetPatienceMs);
    this.#movedAt = world.clock.monotonic();
  }

  get workflow(): FleetWorkflow {
    return this.#workflow;
  }

  /** Replicas of shards that are left to copies which have not begun. */
  get shardsLeft(): number {
    return this.#shardsLeft;
  }

  /** What it waits for, in words; empty where it does not wait. */
  get waitingFor(): string {
    return this.#waitingFor;
  }

  get isOver(): boolean {
    return isOver(this.#workflow);
  }

  /** Adds an event, with what changes together with it, and stores both. */
  async note(text: string, change: Partial<FleetWorkflow> = {}): Promise<void> {
    this.#workflow = await this.#journal.note({ ...this.#workflow, ...change }, text);
    this.#movedAt = this.#context.world.clock.monotonic();
  }

  /** What it could not do in this turn, and tries again. */
  failed(error: unknown): void {
    this.#waitingFor = error instanceof Error ? error.message : String(error);
  }

  /** Whether it would only finish what has switched. */
  onlyGoesForward(): boolean {
    const current = this.#context.topology.current();
    const copies = this.#copies(current);
    const { isDone } = workOf(current, this.#workflow, this.#tuning);
    return isDone && copies.length > 0 && copies.every(hasSwitched);
  }

  /** Does what can be done now. */
  async turn(): Promise<void> {
    await this.#follow();
    if (this.#workflow.status === "running") await this.#goOn();
    else await this.#giveUp();
  }

  /** Notes what copies have done since the last turn. */
  async #follow(): Promise<void> {
    const { progressOf, topology, world } = this.#context;
    const { totals } = this.#workflow;
    const now = world.clock.monotonic();
    const news = this.ledger.look(topology.current(), progressOf, totals.documentsCopied, now);
    if (news.events.length === 0) return;
    this.#movedAt = now;
    this.#workflow = news.events.reduce((workflow, text) => withEvent(workflow, world.clock.now(), text), {
      ...this.#workflow,
      totals: addTotals(totals, news.ended),
    });
    await this.#journal.save(this.#workflow);
  }

  async #goOn(): Promise<void> {
    const { topology, world } = this.#context;
    const current = topology.current();
    const work = workOf(current, this.#workflow, this.#tuning);
    if (work.isDone && this.#copies(current).length === 0) {
      await this.#complete();
      return;
    }
    for (const { followed, missing } of await this.#stuck.takeBack(this.ledger.open()))
      await this.note(`${nameOf(followed)} is taken back: ${missing.join(", ")} stays away`);
    const { refused, started } = work.canBegin ? await this.#begin() : NOTHING_STARTED;
    this.#shardsLeft = this.#left();
    this.#waitingFor =
      started.length > 0 ? "" : waitingFor(current, this.ledger.open(), refused, work.problems);
    const still = world.clock.monotonic() - this.#movedAt;
    // A repair that waits for a node keeps everything else from being done, and is begun again when the node is back.
    const { patienceMs, targetPatienceMs } = this.#tuning;
    const patience = this.#workflow.kind === "repair" ? Math.min(patienceMs, targetPatienceMs) : patienceMs;
    if (this.#waitingFor === "" || still < patience) return;
    const reason = `nothing moved for ${Math.round(still / 1_000)} s: ${this.#waitingFor}`;
    await this.note(`given up: ${reason}`, { status: "failing", reason });
  }

  /** Starts what may be copied next. */
  async #begin(): Promise<StartedCopies> {
    const { topology, world } = this.#context;
    const workflow = this.#workflow;
    let outcome: StartedCopies = NOTHING_STARTED;
    await topology.change(`workflow ${workflow.id}: ${workflow.title}`, (draft) => {
      const newId = () => Buffer.from(world.random.bytes(8)).toString("hex");
      outcome = beginWork(draft, workflow, this.#tuning, newId);
    });
    for (const copy of outcome.started) await this.note(`${nameOf(copy)} is planned`);
    if (outcome.started.length > 0) await this.#follow();
    return outcome;
  }

  async #complete(): Promise<void> {
    const { topology } = this.#context;
    const workflow = this.#workflow;
    try {
      await topology.change(`workflow ${workflow.id} ends: ${workflow.title}`, (draft) => {
        if (!workOf(draft, workflow, this.#tuning).isDone) throw new WorkRemainsError();
        finishGoal(draft, workflow);
      });
      for (const id of workflow.removeNodeIds) await this.#forget(id);
    } catch (error) {
      // An index was created there meanwhile; it is moved as well.
      if (error instanceof WorkRemainsError || error instanceof NodeInUseError) return;
      throw error;
    }
    await this.#end("completed");
  }

  /** Takes back what has not switched, waits for what has, and gives the goal up. */
  async #giveUp(): Promise<void> {
    const { topology } = this.#context;
    const workflow = this.#workflow;
    let unused: readonly string[] = [];
    const next = await topology.change(`workflow ${workflow.id} is given up: ${workflow.title}`, (draft) => {
      for (const open of this.#copies(draft)) if (!hasSwitched(open)) cancelCopy(open.index, open.copy.id);
      if (this.#copies(draft).length === 0) unused = takeGoalBack(draft, workflow);
    });
    this.#shardsLeft = 0;
    this.#waitingFor = "";
    await this.#follow();
    if (this.#copies(next).length > 0) {
      this.#waitingFor = "copies that have switched are finished, and what others left is deleted";
      return;
    }
    for (const id of unused) await this.#forget(id);
    await this.#end(workflow.status === "failing" ? "failed" : "cancelled");
  }

  async #forget(nodeId: string): Promise<void> {
    const { nodes, topology } = this.#context;
    if (!topology.current().nodes.some(({ id }) => id === nodeId)) return;
    await nodes().forget(nodeId);
    await this.note(`${nodeId} has left the fleet`);
  }

  async #end(status: "completed" | "cancelled" | "failed"): Promise<void> {
    const { logger, world } = this.#context;
    this.#waitingFor = "";
    await this.note(status, { status, finishedAt: world.clock.now() });
    const { id, title, totals } = this.#workflow;
    logger.info({ workflow: id, title, status, ...totals }, "a workflow has ended");
  }

  #copies(topology: Topology): readonly OpenCopy[] {
    return openCopies(topology).filter(({ copy }) => copy.workflowId === this.#workflow.id);
  }

  /** What copies under way have not switched yet is still among the work. */
  #left(): number {
    const { shards } = workOf(this.#context.topology.current(), this.#workflow, this.#tuning);
    const begun = this.ledger.open().filter((followed) => !hasSwitched(followed));
    return Math.max(0, shards - begun.reduce((sum, followed) => sum + shardsOf(followed), 0));
  }
}

const NOTHING_STARTED: StartedCopies = { started: [], refused: [] };

/** Why nothing more begins, in words; empty where copies are under way that do not wait. */
function waitingFor(
  topology: Topology,
  copies: readonly FollowedCopy[],
  refused: readonly string[],
  problems: readonly string[],
): string {
  const waiting = copies.flatMap((followed) => {
    const why = followed.progress?.waitingFor ?? "";
    return why === "" ? [] : [`${nameOf(followed)} waits: ${why}`];
  });
  if (copies.length > waiting.length) return "";
  const away = [...awayNodes(topology)].map((id) => `${id} does not answer`);
  const others =
    openCopies(topology).length > copies.length ? ["copies of another workflow are under way"] : [];
  const why = [...waiting, ...refused, ...problems, ...away, ...others];
  return why.length === 0 && copies.length === 0 ? "nothing can be copied just now" : why.join("; ");
}
