import {
  type NodeRequest,
  type NodeResponse,
  type NodeTransport,
  NodeUnavailableError,
} from "../../../src/meilisearch/transport.js";
import type { World } from "../../../src/runtime/world.js";

/** How a node of the fake network behaves. */
export type NodeBehaviour =
  | { readonly kind: "answers"; readonly delayMs?: number }
  /** Connections are refused. */
  | { readonly kind: "refuses" }
  /** Takes requests and never answers. */
  | { readonly kind: "hangs" }
  | { readonly kind: "fails"; readonly status: number; readonly code?: string };

/** One request that reached the network. */
export interface SeenRequest {
  readonly node: string;
  readonly index: string;
  readonly method: string;
  /** What follows the index's name. */
  readonly path: string;
  readonly body: unknown;
}

/** A network of nodes in memory: the transport, and what a test tells it. */
export interface FakeNodes {
  readonly transport: NodeTransport;
  readonly seen: readonly SeenRequest[];
  behave(node: string, behaviour: NodeBehaviour): void;
  /** The names under which a node knows indexes. */
  hold(node: string, ...indexes: string[]): void;
}

/** What a node that holds the index answers. */
export type Answer = (request: SeenRequest) => { readonly status: number; readonly body: unknown };

export function createFakeNodes(world: World, answer: Answer): FakeNodes {
  const seen: SeenRequest[] = [];
  const behaviours = new Map<string, NodeBehaviour>();
  const held = new Map<string, Set<string>>();
  return {
    seen,
    behave: (node, behaviour) => behaviours.set(node, behaviour),
    hold: (node, ...indexes) => held.set(node, new Set(indexes)),
    transport: {
      async request(node, request) {
        const behaviour = behaviours.get(node.id) ?? { kind: "answers" };
        const parsed = parse(node.id, request);
        seen.push(parsed);
        if (behaviour.kind === "refuses") {
          throw new NodeUnavailableError(node.id, "not-sent", "connection refused");
        }
        if (behaviour.kind === "hangs") return never(world, node.id, request);
        if (behaviour.kind === "answers" && behaviour.delayMs !== undefined) {
          await Promise.race([
            never(world, node.id, request),
            new Promise((resolve) => world.timers.after(behaviour.delayMs ?? 0, () => resolve(undefined))),
          ]);
        }
        if (behaviour.kind === "fails") {
          const code = behaviour.code ?? "internal";
          return response(behaviour.status, { message: code, code, type: "internal", link: "" });
        }
        const names = held.get(node.id);
        if (parsed.index !== "" && names !== undefined && !names.has(parsed.index)) {
          const message = `Index \`${parsed.index}\` not found.`;
          return response(404, { message, code: "index_not_found", type: "invalid_request", link: "" });
        }
        const { status, body } = answer(parsed);
        return response(status, body);
      },
      close: async () => {},
    },
  };
}

function never(world: World, node: string, request: NodeRequest): Promise<never> {
  return new Promise((_resolve, reject) => {
    const give = (why: string) => reject(new NodeUnavailableError(node, "unknown", why));
    const timer = world.timers.after(request.timeoutMs ?? 30_000, () => give("timeout"));
    const onAbort = () => {
      timer.cancel();
      give("aborted");
    };
    if (request.signal?.aborted === true) onAbort();
    else request.signal?.addEventListener("abort", onAbort, { once: true });
  });
}

function parse(node: string, request: NodeRequest): SeenRequest {
  const [, , index = "", ...rest] = request.path.split("/");
  const isIndex = request.path.startsWith("/indexes/");
  return {
    node,
    index: isIndex ? index : "",
    method: request.method,
    path: isIndex ? `/${rest.join("/")}` : request.path,
    body: typeof request.body === "string" && request.body !== "" ? JSON.parse(request.body) : undefined,
  };
}

function response(status: number, body: unknown): NodeResponse {
  return { status, contentType: "application/json", body: Buffer.from(JSON.stringify(body)) };
}
