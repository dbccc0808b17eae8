import { setMaxListeners } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { AddressInfo } from "node:net";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createConnectRouter,
  type Interceptor,
  type ServiceImpl,
} from "@connectrpc/connect";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { Logger } from "pino";
import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { BackupService } from "../../gen/miroir/v1/backups_pb.js";
import { ClusterService } from "../../gen/miroir/v1/cluster_pb.js";
import { ControlService } from "../../gen/miroir/v1/control_pb.js";
import { CopyService } from "../../gen/miroir/v1/copies_pb.js";
import { ExportService } from "../../gen/miroir/v1/exports_pb.js";
import { FeatureService } from "../../gen/miroir/v1/features_pb.js";
import { IndexService } from "../../gen/miroir/v1/indexes_pb.js";
import { KeyService } from "../../gen/miroir/v1/keys_pb.js";
import { ResourceService } from "../../gen/miroir/v1/resources_pb.js";
import { SettingsService } from "../../gen/miroir/v1/settings_pb.js";
import { TaskService } from "../../gen/miroir/v1/tasks_pb.js";
import { TopologyService } from "../../gen/miroir/v1/topology_pb.js";
import { VerifyService } from "../../gen/miroir/v1/verify_pb.js";
import { WorkflowService } from "../../gen/miroir/v1/workflows_pb.js";
import type { World } from "../../runtime/world.js";
import { encodeOnce } from "../topology/encode-once.js";
import { requireAdminKey } from "./admin-key.js";
import { logCalls } from "./call-log.js";
import { type Deadlines, limitDuration } from "./deadlines.js";
import { errorCodes } from "./error-codes.js";
import { createHealthService, type HealthState } from "./health.js";
import { createReflectionServices } from "./reflection.js";
import type { ServerMetrics } from "./server-metrics.js";
import { createSharedPort, type ServerTls, type SharedPort } from "./shared-port.js";
import { validateRequests } from "./validation.js";
import { createValidators } from "./validators.js";

/** More bytes than a message can have. */
const NEVER = 0xffffffff;

/** The services behind the port, by the name of their implementation. */
export const CONTROL_SERVICES = {
  topology: TopologyService,
  tasks: TaskService,
  indexes: IndexService,
  cluster: ClusterService,
  keys: KeyService,
  features: FeatureService,
  backups: BackupService,
  exports: ExportService,
  settings: SettingsService,
  verify: VerifyService,
  copies: CopyService,
  workflows: WorkflowService,
  resources: ResourceService,
  control: ControlService,
} as const;

/** The names of {@link CONTROL_SERVICES}. */
export const controlServiceNames = Object.keys(
  CONTROL_SERVICES,
) as readonly (keyof typeof CONTROL_SERVICES)[];

/** What implements each of {@link CONTROL_SERVICES}. */
export type ControlServices = {
  readonly [Name in keyof typeof CONTROL_SERVICES]: ServiceImpl<(typeof CONTROL_SERVICES)[Name]>;
};

/** What {@link createControlServer} serves, and how. */
export interface ControlServerOptions {
  readonly services: ControlServices;
  readonly health: HealthState;
  readonly world: World;
  readonly logger: Logger;
  readonly metrics: ServerMetrics;
  /** Asked of every call but health and reflection; without one everything is open. */
  readonly adminKey?: string;
  /** Plain text unless given. */
  readonly tls?: ServerTls;
  readonly deadlines?: Deadlines;
  /** Bytes of the largest request message; 32 MiB unless given. */
  readonly maxMessageBytes?: number;
}

/** The control plane's one port. */
export interface ControlServer {
  /** Resolves once calls are accepted; rejects where the port is taken. */
  listen(host: string, port: number): Promise<AddressInfo>;
  /**
   * Ends streams with UNAVAILABLE, so that their clients go elsewhere, lets other calls finish for at most `drainMs` milliseconds
   * (5,000 unless given), and closes the port.
   */
  close(drainMs?: number): Promise<void>;
}

/**
 * One Connect router on one port: gRPC, gRPC-Web and the Connect protocol over HTTP/2 and HTTP/1.1, with `grpc.health.v1` and
 * `grpc.reflection` beside Miroir's services. Over HTTP it also answers `GET /metrics` for Prometheus and `GET /health`, both without the admin key.
 */
export function createControlServer(options: ControlServerOptions): ControlServer {
  const drain = new AbortController();
  // Every stream listens.
  setMaxListeners(0, drain.signal);
  const handle = createHandler(options, drain.signal);
  const port: SharedPort = createSharedPort(handle, options.world, options.tls);
  return {
    listen: (host, number) => port.listen(host, number),
    async close(drainMs = 5_000) {
      drain.abort(new ConnectError("the control plane is shutting down", Code.Unavailable));
      await port.close(drainMs);
    },
  };
}

type NodeRequest = IncomingMessage | Http2ServerRequest;
type NodeResponse = ServerResponse | Http2ServerResponse;

function createHandler(
  options: ControlServerOptions,
  drain: AbortSignal,
): (request: NodeRequest, response: NodeResponse) => void {
  const { logger } = options;
  const router = createConnectRouter({
    interceptors: interceptorsOf(options),
    acceptCompression: [compressionGzip, compressionBrotli],
    readMaxBytes: options.maxMessageBytes ?? 32 * 1024 * 1024,
  });
  addServices(router, options, drain);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const handler = handlers.get(path);
    if (handler === undefined) {
      answerPlain(path, request, response, options).catch((error: unknown) => {
        logger.error({ err: error, path }, "a plain HTTP request failed");
        response.destroy();
      });
      return;
    }
    handler(universalRequestFromNodeRequest(request, response, undefined, undefined))
      .then((answer) => universalResponseToNodeResponse(answer, response))
      .catch((error: unknown) => {
        // The client is gone or the connection broke; whatever the call itself had to say is logged already.
        logger.debug({ err: error, path }, "an answer could not be sent");
      });
  };
}

/** Outermost first. */
function interceptorsOf(options: ControlServerOptions): Interceptor[] {
  const { adminKey, deadlines, logger, metrics, world } = options;
  return [
    logCalls(logger, world, metrics),
    requireAdminKey(adminKey),
    validateRequests(createValidators()),
    limitDuration(world.timers, deadlines),
    errorCodes,
  ];
}

function addServices(router: ConnectRouter, options: ControlServerOptions, drain: AbortSignal): void {
  const { health } = options;
  const services: ControlServices = { ...options.services, topology: encodeOnce(options.services.topology) };
  const described = [...Object.values(CONTROL_SERVICES), Health];
  const reflection = createReflectionServices(described);
  // Calls with one answer are left to finish at shutdown; only streams are told of it.
  const streaming = { shutdownSignal: drain };
  // What goes to every proxy would be compressed anew for each; large snapshots are compressed already.
  const fanOut = { ...streaming, compressMinBytes: NEVER };
  const add = <Name extends keyof ControlServices>(name: Name): void => {
    router.service(CONTROL_SERVICES[name], services[name], name === "topology" ? fanOut : undefined);
  };
  for (const name of controlServiceNames) add(name);
  router
    .service(
      Health,
      createHealthService(
        health,
        described.map((service) => service.typeName),
      ),
      streaming,
    )
    .service(ServerReflection, reflection.v1, streaming)
    .service(ServerReflectionAlpha, reflection.v1alpha, streaming);
}

async function answerPlain(
  path: string,
  request: NodeRequest,
  response: NodeResponse,
  { health, metrics }: ControlServerOptions,
): Promise<void> {
  request.resume();
  if (path === "/metrics" && request.method === "GET") {
    const text = await metrics.registry.metrics();
    send(response, 200, metrics.registry.contentType, text);
  } else if (path === "/health" && request.method === "GET") {
    const serving = health.serving();
    send(
      response,
      serving ? 200 : 503,
      "application/json",
      JSON.stringify({ status: serving ? "available" : "unavailable" }),
    );
  } else {
    const message = `no ${request.method} ${path} here; calls are POST /<package>.<Service>/<Method>`;
    send(response, 404, "application/json", JSON.stringify({ code: "unimplemented", message }));
  }
}

function send(response: NodeResponse, status: number, contentType: string, body: string): void {
  response.statusCode = status;
  response.setHeader("content-type", contentType);
  response.end(body);
}
