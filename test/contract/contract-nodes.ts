import { afterAll, beforeAll, describe } from "vitest";
import type { NodeKind } from "../../src/nodes/launch.js";
import { DEFAULT_MASTER_KEY, hasRealNode, type StartedNodes, startNodes } from "../support/nodes.js";
import { ContractClient } from "./contract-client.js";

/** The kinds of node that the suite runs against: always the embedded one, and a real one where there is one. */
export const contractKinds: readonly NodeKind[] = hasRealNode ? ["embedded", "binary"] : ["embedded"];

if (!hasRealNode) {
  process.stderr.write(
    "[contract] SKIPPED everything that needs a real Meilisearch: set MEILISEARCH_BIN or put it on PATH\n",
  );
}

/** What a suite of the contract works with. */
export interface ContractNode {
  readonly kind: NodeKind;
  readonly client: ContractClient;
}

/** Runs a suite once against each kind of node, each with a node of its own. */
export function describeContract(name: string, suite: (node: ContractNode) => void): void {
  describe.each(contractKinds)(`${name} (%s)`, (kind) => {
    let started: StartedNodes | undefined;
    const node = {
      kind,
      get client(): ContractClient {
        const url = started?.nodes[0]?.url;
        if (url === undefined) throw new Error("the node is not started yet");
        return new ContractClient(url, DEFAULT_MASTER_KEY);
      },
    };
    beforeAll(async () => {
      started = await startNodes(1, { backend: kind === "embedded" ? "embedded" : "real" });
    });
    afterAll(async () => {
      await started?.stop();
    });
    suite(node);
  });
}
