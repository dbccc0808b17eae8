import { Code, ConnectError } from "@connectrpc/connect";
import { NotLeaderSchema } from "../../gen/miroir/v1/control_pb.js";
import { CONTROL_SERVICES, type ControlServices, controlServiceNames } from "./control-server.js";

/** The services of a process that leads; what every process answers by itself is not among them. */
export type LeaderServices = Omit<ControlServices, "control">;

/** Methods that a process answers while it does not lead. */
export type StandbyServices = { readonly [Name in keyof LeaderServices]?: Partial<LeaderServices[Name]> };

/** What {@link createReplicaServices} chooses from, at every call. */
export interface ReplicaServicesOptions {
  /** The services of the term under way; undefined where this process does not lead. */
  readonly leader: () => LeaderServices | undefined;
  readonly standby: StandbyServices;
  /** HOST:PORT of the process that leads; undefined where none is known to. */
  readonly leaderAddress: () => string | undefined;
}

/**
 * The services of one of several control processes: the leader's while it leads. While it does not, it answers what the store can answer
 * for it, and everything else with UNAVAILABLE and a `NotLeader` that says where to go.
 */
export function createReplicaServices(options: ReplicaServicesOptions): LeaderServices {
  const names = controlServiceNames.filter((name) => name !== "control");
  return Object.fromEntries(names.map((name) => [name, forward(name, options)])) as unknown as LeaderServices;
}

/** What a process says of a call that only the leader can answer. */
export function notLeader(leaderAddress: string | undefined): ConnectError {
  return new ConnectError(
    leaderAddress === undefined
      ? "no control process leads at present; try again shortly"
      : `this control process stands by; ${leaderAddress} leads`,
    Code.Unavailable,
    undefined,
    [{ desc: NotLeaderSchema, value: { leaderAddress: leaderAddress ?? "" } }],
  );
}

type Methods = Readonly<Record<string, ((...parameters: unknown[]) => unknown) | undefined>>;

/** A service whose methods are those of whoever answers for it when they are called. */
function forward(name: keyof LeaderServices, options: ReplicaServicesOptions): Methods {
  const methods = CONTROL_SERVICES[name].methods.map(({ localName }) => {
    const call = (...parameters: unknown[]): unknown => {
      const services = options.leader();
      const answering = (services ?? options.standby)[name] as Methods | undefined;
      const method = answering?.[localName];
      if (method !== undefined) return method.apply(answering, parameters);
      if (services === undefined) throw notLeader(options.leaderAddress());
      throw new ConnectError(
        `${CONTROL_SERVICES[name].typeName}/${localName} is not served`,
        Code.Unimplemented,
      );
    };
    return [localName, call] as const;
  });
  return Object.fromEntries(methods);
}
