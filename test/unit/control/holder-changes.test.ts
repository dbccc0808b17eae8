import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { holderChanges } from "../../../src/control/topology/holder-changes.js";
import { type LeaseHolder, LeaseHolderSchema, LeaseSchema } from "../../../src/gen/miroir/v1/topology_pb.js";
import { HeldLease } from "../../../src/proxy/topology/held-lease.js";

const all = Array.from({ length: 12 }, (_, at) =>
  create(LeaseHolderSchema, {
    proxyId: `proxy-${at}`,
    session: `session-${at}`,
    peerAddress: `host-${at}:1`,
  }),
);
const lists = fc.array(fc.shuffledSubarray(all), { minLength: 1, maxLength: 8 });

describe("changes of the holders of leases", () => {
  it("leave a proxy with the list that it would have been told whole", () => {
    fc.assert(
      fc.property(lists, (told) => {
        const lease = new HeldLease("proxy-0", "session-0", { now: () => 0, monotonic: () => 0 });
        let former: LeaseHolder[] | undefined;
        for (const holders of told) {
          lease.answer(leaseOf(lease.heartbeat(), holders, former));
          expect(lease.writers().proxies.map(({ session }) => session)).toEqual(
            holders.map(({ session }) => session),
          );
          former = holders;
        }
      }),
    );
  });

  it("name nobody who stays", () => {
    const changes = holderChanges(all.slice(0, 8), [...all.slice(1, 4), ...all.slice(5)]);
    expect(changes?.gone).toEqual(["session-0", "session-4"]);
    expect(changes?.added).toEqual(all.slice(8));
    expect(changes?.places).toEqual([6, 7, 8, 9]);
  });
});

/** An answer in words of the former list, where it can be put so. */
function leaseOf(sequence: bigint, holders: LeaseHolder[], former: LeaseHolder[] | undefined) {
  const rest = { sequence, durationMs: 1_000, holdersComplete: true };
  const changes = former && holderChanges(former, holders);
  if (changes === undefined) return create(LeaseSchema, { ...rest, holders });
  const { added, gone, places } = changes;
  return create(LeaseSchema, {
    ...rest,
    holdersChanged: true,
    holders: added,
    holdersGone: gone,
    holderPlaces: places,
  });
}
