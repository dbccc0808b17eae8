import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { ClusterService } from "../gen/miroir/v1/cluster_pb.js";
import { ControlService } from "../gen/miroir/v1/control_pb.js";
import { IndexService } from "../gen/miroir/v1/indexes_pb.js";
import { ResourceService } from "../gen/miroir/v1/resources_pb.js";
import { SettingsService } from "../gen/miroir/v1/settings_pb.js";
import { TaskService } from "../gen/miroir/v1/tasks_pb.js";
import { TopologyService } from "../gen/miroir/v1/topology_pb.js";
import { VerifyService } from "../gen/miroir/v1/verify_pb.js";
import { WorkflowService } from "../gen/miroir/v1/workflows_pb.js";
import { followLeader } from "./follow-leader.js";

export * from "../gen/miroir/v1/cluster_pb.js";
export * from "../gen/miroir/v1/control_pb.js";
export * from "../gen/miroir/v1/indexes_pb.js";
export * from "../gen/miroir/v1/resources_pb.js";
export * from "../gen/miroir/v1/settings_pb.js";
export * from "../gen/miroir/v1/tasks_pb.js";
export * from "../gen/miroir/v1/topology_pb.js";
export * from "../gen/miroir/v1/verify_pb.js";
export * from "../gen/miroir/v1/workflows_pb.js";
export type { GrpcCallOptions, GrpcDuplex, GrpcServiceClient } from "./grpc-adapter.js";
export { createGrpcServiceClient, GrpcError } from "./grpc-adapter.js";

/** Which control plane to call, and how. */
export interface MiroirClientOptions {
  /** `http://host:port` or `https://host:port` of a control process; calls that only the leader answers go on to that one. */
  readonly baseUrl: string;
  /** Key of the admin API; none unless given. */
  readonly adminKey?: string;
  /**
   * `1.1` unless given, which passes through any HTTP proxy and lets the process end by itself. `2` is
   * needed for `topology.subscribe`, the only method that streams in both directions.
   */
  readonly httpVersion?: "1.1" | "2";
  /** Milliseconds that a call may take; 30,000 unless given, and no limit for `topology`, `verify` and `workflows`. */
  readonly timeoutMs?: number;
  /** Authorities to trust, as PEM, for `https`; the system's unless given. */
  readonly ca?: string | Buffer;
}

/** Miroir's services, one member each. Every method rejects with Connect's `ConnectError`. */
export interface MiroirClient {
  readonly tasks: Client<typeof TaskService>;
  readonly indexes: Client<typeof IndexService>;
  readonly cluster: Client<typeof ClusterService>;
  readonly control: Client<typeof ControlService>;
  readonly resources: Client<typeof ResourceService>;
  readonly settings: Client<typeof SettingsService>;
  readonly topology: Client<typeof TopologyService>;
  readonly verify: Client<typeof VerifyService>;
  readonly workflows: Client<typeof WorkflowService>;
}

/** A typed client of the control plane's services, over the Connect protocol. It holds nothing that needs closing. */
export function createMiroirClient(options: MiroirClientOptions): MiroirClient {
  const { timeoutMs = 30_000 } = options;
  const limited = connect(options, timeoutMs);
  return {
    tasks: createClient(TaskService, limited),
    indexes: createClient(IndexService, limited),
    cluster: createClient(ClusterService, limited),
    control: createClient(ControlService, limited),
    resources: createClient(ResourceService, limited),
    settings: createClient(SettingsService, limited),
    topology: createClient(TopologyService, connect(options)),
    verify: createClient(VerifyService, connect(options)),
    workflows: createClient(WorkflowService, connect(options)),
  };
}

function connect(options: MiroirClientOptions, defaultTimeoutMs?: number): Transport {
  const { adminKey, ca, httpVersion = "1.1" } = options;
  return followLeader(
    (baseUrl) =>
      createConnectTransport({
        baseUrl,
        httpVersion,
        interceptors: adminKey === undefined ? [] : [authorize(adminKey)],
        ...(defaultTimeoutMs === undefined ? {} : { defaultTimeoutMs }),
        ...(ca === undefined ? {} : { nodeOptions: { ca } }),
      }),
    options.baseUrl.replace(/\/+$/, ""),
  );
}

function authorize(adminKey: string): Interceptor {
  return (next) => (request) => {
    request.header.set("Authorization", `Bearer ${adminKey}`);
    return next(request);
  };
}
