/** What an operator may do to the fleet while it is hurt: grow, shrink, rebalance, change its mind. */
import { type FleetChange, type MiroirClient, type Node, NodeState } from "../../src/client/index.js";
import { type Workflow, WorkflowStatus } from "../../src/gen/miroir/v1/workflows_pb.js";
import { type ChaosFleet, NODE_KEY } from "./chaos-fleet.js";
import { eventually, onLeader } from "./final-state.js";
import { grouped } from "./grouped.js";
import type { Observer } from "./observer.js";
import type { Operation } from "./operations.js";

/** How long an operation is followed, in milliseconds; what takes longer goes on by itself. */
const FOLLOW_MS = 60_000;
/** How long an operation is tried that is refused, in milliseconds. */
const PATIENCE_MS = 15_000;

/** Shards up to which an index grows, twice as many at a time. */
const MOST_SHARDS = 64;

/** The operations of a run. Nodes beyond the first ones, and those that were removed, can be added; so many always stay. */
export function fleetOperations(fleet: ChaosFleet, observer: Observer, fewest: number): readonly Operation[] {
  const members = (): readonly Node[] => observer.topology?.nodes ?? [];
  const staying = (): readonly Node[] => members().filter(({ state }) => state !== NodeState.DRAINING);
  const drained = (): readonly Node[] =>
    members().filter(
      ({ id, state }) =>
        state === NodeState.DRAINING &&
        observer.topology?.indexes.every(({ replicas }) => replicas.every(({ nodeId }) => nodeId !== id)),
    );
  const spare = (): number =>
    fleet.nodes.findIndex((node) => members().every((member) => member.url !== node.url));
  const smallest = () => observer.topology?.indexes.toSorted((a, b) => a.shards - b.shards)[0];
  /** As an operator would, tries again for a while: another change may be under way, or nobody leads. */
  const change = (
    call: (cluster: MiroirClient["cluster"]) => Promise<{ readonly change?: FleetChange | undefined }>,
  ): Promise<FleetChange | undefined> =>
    eventually("a change of the fleet", PATIENCE_MS, async () =>
      onLeader(fleet, ({ cluster }) => call(cluster)),
    ).then((answer) => answer.change);
  return [
    {
      name: "add node",
      possible: () => spare() >= 0,
      run: async () => {
        const at = spare();
        // A server that belonged to the fleet comes back empty, as a new one would.
        await fleet.emptyNode(at);
        const node = { url: fleet.nodes[at]?.url ?? "", key: NODE_KEY };
        const group = smallestGroup(members());
        return follow(fleet, await change((cluster) => cluster.addNode({ node, group })));
      },
    },
    {
      name: "drain node",
      possible: () => staying().length > fewest,
      run: async () => {
        const nodeId = staying().at(-1)?.id ?? "";
        return follow(fleet, await change((cluster) => cluster.drainNode({ nodeId })));
      },
    },
    {
      name: "remove node",
      possible: () => drained().length > 0,
      run: async () => {
        const nodeId = drained()[0]?.id ?? "";
        return follow(fleet, await change((cluster) => cluster.removeNode({ nodeId })));
      },
    },
    {
      name: "rebalance",
      possible: () => true,
      run: async () => follow(fleet, await change((cluster) => cluster.rebalance({}))),
    },
    {
      name: "repair",
      possible: () => true,
      run: async () => follow(fleet, await change((cluster) => cluster.repair({}))),
    },
    {
      name: "reshard",
      possible: () => (smallest()?.shards ?? MOST_SHARDS) < MOST_SHARDS,
      run: async () => {
        const request = { indexUid: smallest()?.uid ?? "", shards: 2 * (smallest()?.shards ?? 0) };
        return follow(fleet, await change((cluster) => cluster.reshard(request)));
      },
    },
    {
      name: "drain node and cancel",
      possible: () => staying().length > fewest,
      run: async () => {
        const nodeId = staying()[0]?.id ?? "";
        const begun = await change((cluster) => cluster.drainNode({ nodeId }));
        const id = begun?.workflowId ?? "";
        if (id !== "") await onLeader(fleet, ({ workflows }) => workflows.cancelWorkflow({ id }));
        return follow(fleet, begun);
      },
    },
  ];
}

function smallestGroup(nodes: readonly Node[]): number {
  const sizes = grouped(nodes, ({ group }) => group);
  const [smallest] = [...sizes].toSorted(([, a], [, b]) => a.length - b.length);
  return smallest?.[0] ?? 0;
}

/** Workflows that have not ended yet, in words. */
export async function runningWorkflows(fleet: ChaosFleet): Promise<readonly string[]> {
  const all = await onLeader(fleet, ({ workflows }) => workflows.listWorkflows({ pageSize: 100 }));
  return all.workflows
    .filter((workflow) => !hasEnded(workflow))
    .map(({ id, title, reason }) => `${title} (${id})${reason === "" ? "" : `: ${reason}`}`);
}

/** Waits for the end of a change's workflow, and tells it. */
async function follow(fleet: ChaosFleet, change: FleetChange | undefined): Promise<string> {
  const id = change?.workflowId ?? "";
  if (id === "") return "had nothing to carry out";
  return eventually(`the end of workflow ${id}`, FOLLOW_MS, async () => {
    const { workflow } = await onLeader(fleet, ({ workflows }) => workflows.getWorkflow({ id }));
    if (workflow === undefined || !hasEnded(workflow)) return undefined;
    return `${WorkflowStatus[workflow.status]} ${workflow.reason}`;
  });
}

function hasEnded({ status }: Workflow): boolean {
  return status !== WorkflowStatus.RUNNING && status !== WorkflowStatus.CANCELLING;
}
