import { create, type DescMethod, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createHandlerContext, type HandlerContext } from "@connectrpc/connect";
import { BackupService } from "../../../src/gen/miroir/v1/backups_pb.js";
import { ClusterService } from "../../../src/gen/miroir/v1/cluster_pb.js";
import { CopyService } from "../../../src/gen/miroir/v1/copies_pb.js";
import { ExportService } from "../../../src/gen/miroir/v1/exports_pb.js";
import { FeatureService } from "../../../src/gen/miroir/v1/features_pb.js";
import { IndexService } from "../../../src/gen/miroir/v1/indexes_pb.js";
import { KeyService } from "../../../src/gen/miroir/v1/keys_pb.js";
import { ResourceService } from "../../../src/gen/miroir/v1/resources_pb.js";
import { TaskService } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { WorkflowService } from "../../../src/gen/miroir/v1/workflows_pb.js";
import {
  type ControlRefusalCode,
  ControlRefusedError,
  type ControlTransport,
  ControlUnavailableError,
  type TopologyStream,
} from "../../../src/proxy/control-transport.js";
import type { VirtualWorld } from "../virtual-world.js";
import type { ControlReplica, LeaderServices } from "./control-replica.js";
import type { ProcessWorld } from "./process-world.js";
import { type LinkedStream, openStream } from "./stream-link.js";

/** Probabilities of what goes wrong with one call to the control plane. */
export interface ControlFaults {
  readonly unavailable: number;
  /** Had its effect, but the answer is lost. */
  readonly loseAnswer: number;
  /** Longest way of one message of a topology stream, in milliseconds. */
  readonly streamDelayMs: number;
}

/** A control plane that always answers. */
export const RELIABLE_CONTROL: ControlFaults = { unavailable: 0, loseAnswer: 0, streamDelayMs: 3 };

/** How often a topology is followed by one from before, as by a message from another time. */
const REPLAY_CHANCE = 0.03;

/** What is between proxies and control processes. */
export interface ControlLink {
  faults: ControlFaults;
  /** Topologies count as acknowledged once they are sent, as a planted fault. */
  readonly forgesAcks: boolean;
  /** In the order in which proxies try them. */
  readonly replicas: () => readonly ControlReplica[];
}

const SERVICES = {
  tasks: TaskService,
  indexes: IndexService,
  keys: KeyService,
  features: FeatureService,
  backups: BackupService,
  exports: ExportService,
  resources: ResourceService,
  cluster: ClusterService,
  copies: CopyService,
  workflows: WorkflowService,
} as const;

interface CalledMethod {
  readonly service: keyof typeof SERVICES;
  readonly method: DescMethod;
  /** For every call: no method with one answer asks whether its caller is still there. */
  readonly context: HandlerContext;
}

const METHODS: ReadonlyMap<string, CalledMethod> = new Map(
  Object.entries(SERVICES).flatMap(([name, service]) =>
    service.methods.map((method) => {
      const context = createHandlerContext({
        service,
        method,
        protocolName: "simulated",
        requestMethod: "POST",
        url: "http://simulated",
      });
      return [method.localName, { service: name as keyof typeof SERVICES, method, context }] as const;
    }),
  ),
);

const REFUSALS: ReadonlyMap<Code, ControlRefusalCode> = new Map([
  [Code.InvalidArgument, "invalid_argument"],
  [Code.NotFound, "not_found"],
  [Code.AlreadyExists, "already_exists"],
  [Code.FailedPrecondition, "failed_precondition"],
  [Code.Aborted, "aborted"],
  [Code.ResourceExhausted, "resource_exhausted"],
  [Code.Internal, "internal"],
]);

type Handler = (request: unknown, context: HandlerContext) => Promise<object>;

/** The control plane as one proxy reaches it, with the calls of the real transport over simulated ways. */
export function linkControl(
  link: ControlLink,
  world: VirtualWorld,
  process: ProcessWorld,
): { readonly transport: ControlTransport; breakStreams(): void } {
  const { seeded } = world;
  let preferred = 0;
  const open = new Set<LinkedStream>();
  const subscribe = (signal: AbortSignal): TopologyStream => {
    const position = preferred;
    const replica = at(link, position);
    const service = replica?.services()?.topology;
    if (replica === undefined || service === undefined) {
      preferred++;
      return refusedStream();
    }
    const latency = () => 1 + seeded.below(link.faults.streamDelayMs);
    const replays = () => seeded.chance(REPLAY_CHANCE);
    const { forgesAcks } = link;
    const ends = { service, proxy: process, server: replica.process, latency, replays, forgesAcks };
    const stream = openStream(ends, signal);
    open.add(stream);
    const ended = replica.onKill(() => stream.break());
    async function* messages() {
      try {
        yield* stream.messages;
      } catch (error) {
        if (preferred === position) preferred++;
        throw error;
      } finally {
        ended();
        open.delete(stream);
      }
    }
    return { ...stream, messages: messages() };
  };
  const call = async (
    name: string,
    request: object,
    { timeoutMs = 5_000 }: { timeoutMs?: number } = {},
  ): Promise<unknown> => {
    const { timers } = process;
    const answer = attempt(name, request);
    const late = new AbortController();
    const timeout = timers.sleep(timeoutMs, late.signal).then(
      () => {
        throw new ControlUnavailableError(`${name} was not answered in time`);
      },
      () => undefined,
    );
    try {
      return await Promise.race([answer, timeout.then(() => new Promise(() => undefined))]);
    } finally {
      late.abort(new Error("answered"));
      answer.catch(() => undefined);
    }
  };
  const attempt = async (name: string, request: object): Promise<unknown> => {
    let last: unknown;
    for (const _ of link.replicas()) {
      const replica = at(link, preferred);
      try {
        return await carry(replica, name, request);
      } catch (error) {
        last = error;
        if (!(error instanceof NotServingError)) break;
        preferred++;
      }
    }
    throw last ?? new ControlUnavailableError("there is no control plane");
  };
  const carry = async (
    replica: ControlReplica | undefined,
    name: string,
    request: object,
  ): Promise<unknown> => {
    await process.timers.sleep(1 + seeded.below(2));
    if (replica === undefined || !replica.process.alive())
      throw new NotServingError("no control process there");
    if (seeded.chance(link.faults.unavailable)) throw new ControlUnavailableError("no connection");
    await replica.process.timers.sleep(0);
    const services = replica.services();
    if (services === undefined) throw new NotServingError("it does not lead");
    const answer = await invoke(services, name, request);
    await process.timers.sleep(1 + seeded.below(2));
    if (seeded.chance(link.faults.loseAnswer)) throw new ControlUnavailableError("the answer was lost");
    return answer;
  };
  const breakStreams = (): void => {
    for (const stream of [...open]) stream.break();
  };
  const calls: Record<string, unknown> = { subscribe, close: () => undefined };
  const transport = new Proxy(calls, {
    get: (_, member) =>
      calls[String(member)] ??
      ((request: object, options?: { timeoutMs?: number }) => call(String(member), request, options)),
  });
  return { transport: transport as unknown as ControlTransport, breakStreams };
}

/** The process is there and does not lead, or is not there: another one may. */
class NotServingError extends ControlUnavailableError {}

/** A stream to a process that does not lead. */
function refusedStream(): TopologyStream {
  const messages: AsyncIterable<never> = {
    [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new NotServingError("it does not lead")) }),
  };
  return { send: () => undefined, messages, close: () => undefined };
}

function at(link: ControlLink, position: number): ControlReplica | undefined {
  const replicas = link.replicas();
  return replicas[position % Math.max(1, replicas.length)];
}

/** Calls a method of whatever service has one of that name. */
export async function invoke(services: LeaderServices, name: string, request: object): Promise<unknown> {
  const found = METHODS.get(name);
  if (found === undefined) throw new Error(`no service has the method ${name}`);
  const { service, method, context } = found;
  const implementation = services[service] as unknown as Readonly<Record<string, Handler>>;
  const handler = implementation[name];
  if (handler === undefined) throw new Error(`${name} is not served`);
  try {
    const answer = await handler.call(
      implementation,
      create(method.input, request as MessageInitShape<typeof method.input>),
      context,
    );
    return create(method.output, answer as MessageInitShape<typeof method.output>);
  } catch (error) {
    const refusal = ConnectError.from(error);
    const code = REFUSALS.get(refusal.code === Code.Unknown ? Code.Internal : refusal.code);
    if (code === undefined) throw new ControlUnavailableError(refusal.message, { cause: error });
    throw new ControlRefusedError(code, refusal.rawMessage, { cause: error });
  }
}
