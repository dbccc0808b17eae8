import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, it as vitestIt } from "vitest";
import { findMeilisearchBinary } from "../../src/nodes/find-binary.js";
import { launchNode, type NodeProcess } from "../../src/nodes/launch.js";
import { dockerEngineAnswers, startContainerNode } from "./docker.js";

/** What the suites' nodes are: a binary, a container of the official image, or Miroir's embedded node. */
export type NodeBackend =
  | { readonly kind: "binary"; readonly path: string }
  | { readonly kind: "container" }
  | { readonly kind: "embedded" };

/** Options of `startNodes`. */
export interface StartNodesOptions {
  /** Master key of every node; default `node-master-key-0123456789`. */
  readonly masterKey?: string;
  /** Further command-line arguments of each node, by its position. */
  readonly args?: readonly string[] | ((at: number) => readonly string[]);
  /** Serves the fault endpoint; needs `backend: "embedded"`. */
  readonly faultControl?: boolean;
  /** Forces a backend for this call, whatever the environment offers. */
  readonly backend?: "embedded" | "real";
}

/** The nodes of one suite and the way to be rid of them. */
export interface StartedNodes {
  readonly nodes: readonly NodeProcess[];
  readonly backend: NodeBackend;
  /** Stops the nodes and removes their data. */
  stop(): Promise<void>;
}

export const DEFAULT_MASTER_KEY = "node-master-key-0123456789";

async function chooseBackend(): Promise<NodeBackend> {
  const forced = process.env.MIROIR_TEST_NODE;
  if (forced === "embedded") return { kind: "embedded" };
  const path = findMeilisearchBinary();
  if (path !== undefined) return { kind: "binary", path };
  if (await dockerEngineAnswers()) return { kind: "container" };
  if (forced === "real") {
    throw new Error("MIROIR_TEST_NODE=real, but there is neither a Meilisearch binary nor a Docker engine");
  }
  return { kind: "embedded" };
}

/** The backend of this run: `MEILISEARCH_BIN`, `meilisearch` on PATH, Docker, else the embedded node. */
export const nodeBackend: NodeBackend = await chooseBackend();

/** Whether the suites run against a real Meilisearch. */
export const hasRealNode = nodeBackend.kind !== "embedded";

let announced = false;

/** Starts `count` nodes at once and resolves when all answer. The caller stops them. */
export async function startNodes(count: number, options: StartNodesOptions = {}): Promise<StartedNodes> {
  const backend = resolveBackend(options);
  announce(backend);
  const root = mkdtempSync(join(tmpdir(), "miroir-nodes-"));
  const started = await Promise.allSettled(
    Array.from({ length: count }, (_, i) => startOne(backend, join(root, `node-${i}`), i, options)),
  );
  const nodes = started.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    rmSync(root, { recursive: true, force: true });
  };
  const failed = started.find((result) => result.status === "rejected");
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  return { nodes, backend, stop };
}

function resolveBackend(options: StartNodesOptions): NodeBackend {
  if (options.backend === "embedded") return { kind: "embedded" };
  if (options.backend === "real" && !hasRealNode) throw new Error("no real Meilisearch to start");
  return nodeBackend;
}

function startOne(
  backend: NodeBackend,
  dataDir: string,
  at: number,
  options: StartNodesOptions,
): Promise<NodeProcess> {
  const masterKey = options.masterKey ?? DEFAULT_MASTER_KEY;
  const args = typeof options.args === "function" ? options.args(at) : (options.args ?? []);
  switch (backend.kind) {
    case "container":
      return startContainerNode(masterKey, args);
    case "binary":
      return launchNode({ kind: "binary", binaryPath: backend.path, dataDir, masterKey, args });
    case "embedded":
      return launchNode({
        kind: "embedded",
        dataDir,
        masterKey,
        args,
        faultControl: options.faultControl ?? false,
      });
  }
}

function announce(backend: NodeBackend): void {
  if (announced) return;
  announced = true;
  const what = backend.kind === "binary" ? `Meilisearch binary ${backend.path}` : backend.kind;
  process.stderr.write(`[nodes] running against: ${what}\n`);
}

const skippedWithoutRealNode: string[] = [];
let skipReportInstalled = false;

/**
 * Wraps `it` so that a test runs only against a real Meilisearch. Elsewhere it is skipped, and the file's
 * end prints how many were and which.
 */
export function realNodeOnly(it: typeof vitestIt = vitestIt): typeof vitestIt | typeof vitestIt.skip {
  if (hasRealNode) return it;
  if (!skipReportInstalled) {
    skipReportInstalled = true;
    afterAll(() => {
      process.stderr.write(
        `[nodes] SKIPPED ${skippedWithoutRealNode.length} tests that need a real Meilisearch ` +
          `(set MEILISEARCH_BIN):\n${skippedWithoutRealNode.map((name) => `  - ${name}\n`).join("")}`,
      );
    });
  }
  return new Proxy(it.skip, {
    apply(target, self, args: Parameters<typeof vitestIt>) {
      skippedWithoutRealNode.push(String(args[0]));
      return Reflect.apply(target, self, args);
    },
  });
}
