import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type ProxyStatus, ProxyStatusSchema } from "../../gen/miroir/v1/cluster_pb.js";
import type { Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { Clock } from "../../runtime/world.js";
import { protocolOf } from "../../topology/protocol.js";
import type { ConnectedProxy } from "./connected-proxies.js";
import type { LeaseHolder } from "./write-leases.js";

/** What operators are told of the connected proxies, in ascending order of id. */
export function proxyStatuses(
  proxies: Iterable<ConnectedProxy>,
  holders: readonly LeaseHolder[],
  topology: Topology,
  clock: Clock,
): ProxyStatus[] {
  const writing = new Set(holders.map(({ session }) => session));
  const written = new Map<string, number>();
  for (const { writer } of topology.indexes) {
    if (writer !== undefined) written.set(writer.session, (written.get(writer.session) ?? 0) + 1);
  }
  return [...proxies]
    .sort((a, b) => (a.stream.hello.proxyId < b.stream.hello.proxyId ? -1 : 1))
    .map((proxy) => {
      const { session } = proxy.stream.hello;
      return proxyStatus(proxy, writing.has(session), written.get(session) ?? 0, clock);
    });
}

function proxyStatus(
  { connectedAt, leaseUntil, stream }: ConnectedProxy,
  writer: boolean,
  writtenIndexes: number,
  clock: Clock,
): ProxyStatus {
  const { hello } = stream;
  const acked = stream.acked();
  const nacked = stream.nacked();
  const left = leaseUntil === undefined ? 0 : leaseUntil - clock.monotonic();
  return create(ProxyStatusSchema, {
    proxyId: hello.proxyId,
    session: hello.session,
    address: hello.address,
    version: hello.version,
    protocolMax: protocolOf(hello).max,
    error: nacked?.error ?? "",
    writer,
    writtenIndexes,
    connectedAt: timestampFromMs(connectedAt),
    acknowledgementSeconds: stream.ackedAfterMs() / 1_000,
    ...(acked === undefined ? {} : { acked }),
    ...(nacked === undefined ? {} : { nacked: nacked.epoch }),
    ...(left <= 0 ? {} : { leaseUntil: timestampFromMs(Math.round(clock.now() + left)) }),
  });
}
