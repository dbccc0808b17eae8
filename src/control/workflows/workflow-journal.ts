import { ConflictError, type WorkflowId, workflowId } from "../../store/task-store.js";
import { type FleetWorkflow, isOver, readWorkflow, withEvent, workflowRow } from "./stored-workflow.js";
import type { WorkflowContext } from "./workflow-options.js";

/** There is no such workflow. */
export class WorkflowNotFoundError extends Error {
  override readonly name = "WorkflowNotFoundError";
}

/** Workflows read in one go while looking for those of the fleet among others. */
const PAGE = 1_000;
/** Pages that one call reads at the most. */
const MAX_PAGES = 20;

/** The workflows in the store. */
export class WorkflowJournal {
  readonly #context: Pick<WorkflowContext, "store" | "fence" | "world">;

  constructor(context: Pick<WorkflowContext, "store" | "fence" | "world">) {
    this.#context = context;
  }

  /** Stores a workflow with an event more; resolves with it as it is stored. */
  async note(workflow: FleetWorkflow, text: string): Promise<FleetWorkflow> {
    const noted = withEvent(workflow, this.#context.world.clock.now(), text);
    await this.save(noted);
    return noted;
  }

  /** Stores a workflow as it is, before what it says is done (invariant 9). */
  async save(workflow: FleetWorkflow): Promise<void> {
    const { fence, store, world } = this.#context;
    try {
      await store.workflows.put(workflowRow(workflow, world.clock.now()), fence());
    } catch (error) {
      // Its end was stored by a call whose answer was lost.
      if (!(error instanceof ConflictError && isOver(workflow))) throw error;
    }
  }

  /** @throws WorkflowNotFoundError */
  async get(id: string): Promise<FleetWorkflow> {
    const row = await this.#context.store.workflows.get(workflowId(id));
    const workflow = row === undefined ? undefined : readWorkflow(row);
    if (workflow === undefined) throw new WorkflowNotFoundError(`there is no workflow ${id}`);
    return workflow;
  }

  /** The ones that have not ended, oldest first. */
  async open(): Promise<readonly FleetWorkflow[]> {
    const rows = await this.#context.store.workflows.listOpen();
    return rows.flatMap((row) => readWorkflow(row) ?? []);
  }

  /** Newest first, behind one that was listed before. */
  async list(
    limit: number,
    after: { readonly createdAt: number; readonly id: WorkflowId } | undefined,
  ): Promise<readonly FleetWorkflow[]> {
    const found: FleetWorkflow[] = [];
    let from = after;
    for (let page = 0; page < MAX_PAGES && found.length < limit; page += 1) {
      const rows = await this.#context.store.workflows.list({
        limit: PAGE,
        ...(from === undefined ? {} : { after: from }),
      });
      found.push(...rows.flatMap((row) => readWorkflow(row) ?? []));
      const last = rows.at(-1);
      if (last === undefined || rows.length < PAGE) break;
      from = last;
    }
    return found.slice(0, limit);
  }
}
