import type { Logger } from "pino";
import type { Topology } from "../../gen/miroir/v1/topology_pb.js";
import { nodeVersions } from "../cluster/fleet-warnings.js";
import type { ControlMetrics } from "../metrics.js";

/** Tells, once for each change, that nodes run different releases, as they do while they are upgraded one after the other. */
export class VersionWatch {
  #told = "";

  constructor(
    private readonly metrics: ControlMetrics,
    private readonly logger: Logger,
  ) {}

  /** Takes note of a newly published topology. */
  published(topology: Topology): void {
    const versions = nodeVersions(topology);
    this.metrics.nodeVersions.set(versions.size);
    const now = JSON.stringify([...versions].sort());
    if (now === this.#told) return;
    this.#told = now;
    if (versions.size < 2) return;
    this.logger.warn(
      { versions: Object.fromEntries(versions) },
      "nodes run different Meilisearch versions; bring all to the same",
    );
  }
}
