// A program: a control plane that records tasks in the store at the URL that is its first argument, over gRPC, with nobody who carries them out.
// Prints its address as a JSON array of one, and ends when its standard input does.

import { IndexLookup } from "../../src/control/tasks/index-replicas.js";
import { TaskRegistry } from "../../src/control/tasks/task-registry.js";
import { TaskRemoval } from "../../src/control/tasks/task-removal.js";
import { createTaskService } from "../../src/control/tasks/task-service.js";
import { silent, startRig, world } from "../integration/protocol/rig.js";
import { openBackend } from "../unit/store/open-backend.js";
import { largeTopology } from "./large-topology.js";
import { REGISTERED_SIZE } from "./registered-tasks.js";

const [url = ""] = process.argv.slice(2);
const nobody = { opened: () => Promise.resolve(), decide: () => undefined };
const rig = await startRig({
  store: await openBackend({ url }, undefined),
  initial: largeTopology(REGISTERED_SIZE),
  tasks: ({ leadership, topology }, store) => {
    const common = { store, topology, fence: () => leadership.fence(), world, logger: silent };
    const registry = new TaskRegistry({
      ...common,
      settings: nobody,
      lookup: new IndexLookup(),
      onOpenNodeTasks: () => undefined,
      onWritten: () => undefined,
      listUnfinished: () => Promise.resolve([]),
    });
    const removal = new TaskRemoval({ ...common, refresh: () => Promise.resolve() });
    return createTaskService({ ...common, registry, removal, servingSince: () => 0 });
  },
});
process.stdin.on("end", () => process.exit(0)).resume();
console.log(JSON.stringify([rig.address]));
