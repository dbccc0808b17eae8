import { equals } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { type Workflow, WorkflowSchema, type WorkflowService } from "../../gen/miroir/v1/workflows_pb.js";
import type { World } from "../../runtime/world.js";
import { workflowId } from "../../store/task-store.js";
import { describeWorkflow } from "./describe-workflow.js";
import {
  type FleetWorkflowEngine,
  WorkflowNotCancellableError,
  type WorkflowView,
} from "./fleet-workflow-engine.js";
import { isOver } from "./stored-workflow.js";
import { WorkflowNotFoundError } from "./workflow-journal.js";

/** Milliseconds between two looks at a workflow that somebody watches. */
const WATCH_INTERVAL_MS = 500;
const DEFAULT_PAGE = 20;

/** Serves the workflows of the fleet: what they do, what became of them, and their cancellation. */
export function createWorkflowService(
  engine: FleetWorkflowEngine,
  world: World,
): ServiceImpl<typeof WorkflowService> {
  const described = (view: WorkflowView): Workflow => describeWorkflow(view, world.clock.now());
  return {
    getWorkflow: ({ id }) => refusing(async () => ({ workflow: described(await engine.view(id)) })),
    cancelWorkflow: ({ id }) =>
      refusing(async () => ({ workflow: described(await engine.cancel(id, "cancelled by an operator")) })),
    async listWorkflows({ pageSize, pageToken }) {
      const size = pageSize === 0 ? DEFAULT_PAGE : pageSize;
      const views = await engine.list(size + 1, readToken(pageToken));
      const page = views.slice(0, size);
      const last = page.at(-1)?.workflow;
      return {
        workflows: page.map((view) => ({ ...described(view), events: [] })),
        nextPageToken: views.length > size && last !== undefined ? `${last.createdAt}/${last.id}` : "",
      };
    },
    async *watchWorkflow({ id }, { signal }) {
      let told: Workflow | undefined;
      for (;;) {
        const view = await refusing(() => engine.view(id));
        const workflow = described(view);
        if (told === undefined || !equals(WorkflowSchema, told, workflow)) yield { workflow };
        told = workflow;
        if (isOver(view.workflow)) return;
        if (engine.isStopped) throw new ConnectError("this control plane stops leading", Code.Unavailable);
        await world.timers.sleep(WATCH_INTERVAL_MS, signal);
      }
    },
  };
}

async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError)
      throw new ConnectError(error.message, Code.NotFound, undefined, undefined, error);
    if (error instanceof WorkflowNotCancellableError)
      throw new ConnectError(error.message, Code.FailedPrecondition, undefined, undefined, error);
    throw error;
  }
}

function readToken(token: string) {
  if (token === "") return undefined;
  const [, createdAt, id] = /^(\d{1,15})\/(.+)$/.exec(token) ?? [];
  if (createdAt === undefined || id === undefined)
    throw new ConnectError("page_token is not one from a previous answer", Code.InvalidArgument);
  return { createdAt: Number(createdAt), id: workflowId(id) };
}
