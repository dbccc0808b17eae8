import type { TaskStore } from "../../../src/store/task-store.js";
import type { SimulatedProxyOptions } from "./proxy.js";

/** What is switched off in a fleet, so that its checker has something to find. */
export interface PlantedFault {
  readonly name: string;
  readonly proxy: Partial<Pick<SimulatedProxyOptions, "readersSource">>;
  store(store: TaskStore): TaskStore;
}

/** A fleet as it is. */
export const NO_PLANTED_FAULT: PlantedFault = { name: "none", proxy: {}, store: (store) => store };
