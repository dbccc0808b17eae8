import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { FleetObserver } from "../topology/proxy-fleet.js";
import type { TopologyControl } from "../topology/topology-control.js";

/** What the control plane's server and topology stream count. One per registry. */
export interface ServerMetrics {
  readonly registry: Registry;
  /** The topology stream's part. */
  readonly fleet: FleetObserver;
  /** A call ended. `code` is gRPC's name of it in lower case. */
  callDone(service: string, method: string, code: string, seconds: number): void;
  /** Follows topology and leadership from now on; returns the function that ends it. */
  follow(control: Pick<TopologyControl, "topology" | "leadership">): () => void;
}

/** Registers the metrics, all named `miroir_control_*`. */
export function createServerMetrics(registry: Registry): ServerMetrics {
  const registers = [registry];
  const calls = new Histogram({
    name: "miroir_control_rpc_duration_seconds",
    help: "Time from a call's request to the end of its answer.",
    labelNames: ["service", "method", "code"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const term = new Gauge({
    name: "miroir_control_topology_term",
    help: "Term of the published topology.",
    registers,
  });
  const counter = new Gauge({
    name: "miroir_control_topology_epoch",
    help: "Counter of the published topology inside its term.",
    registers,
  });
  const indexes = new Gauge({
    name: "miroir_control_topology_indexes",
    help: "Indexes of the published topology.",
    registers,
  });
  const leader = new Gauge({
    name: "miroir_control_leader",
    help: "1 while this process leads the control plane.",
    registers,
  });
  const proxies = new Gauge({
    name: "miroir_control_connected_proxies",
    help: "Proxies with an open topology stream.",
    registers,
  });
  const lag = new Histogram({
    name: "miroir_control_acknowledgement_lag_seconds",
    help: "Time from sending a topology to its acknowledgement.",
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const refused = new Counter({
    name: "miroir_control_topologies_refused_total",
    help: "Topologies that proxies refused.",
    registers,
  });
  const sends = new Counter({
    name: "miroir_control_stream_sends_total",
    help: "Messages sent on topology streams.",
    labelNames: ["kind"],
    registers,
  });
  return {
    registry,
    callDone: (service, method, code, seconds) => calls.observe({ service, method, code }, seconds),
    follow({ leadership, topology }) {
      const published = (current: Topology) => {
        term.set(Number(current.epoch?.term ?? 0n));
        counter.set(Number(current.epoch?.counter ?? 0n));
        indexes.set(current.indexes.length);
      };
      const leads = () => leader.set(leadership.state().kind === "leader" ? 1 : 0);
      leads();
      const newest = topology.history.newest();
      if (newest !== undefined) published(newest);
      const stops = [topology.onChange((change) => published(change.topology)), leadership.onChange(leads)];
      return () => {
        for (const stop of stops) stop();
      };
    },
    fleet: {
      connected: (count) => proxies.set(count),
      acknowledged: (afterMs) => lag.observe(afterMs / 1_000),
      refused: () => refused.inc(),
      sent: (kind) => sends.inc({ kind }),
    },
  };
}
