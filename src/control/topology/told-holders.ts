import { create } from "@bufbuild/protobuf";
import { LeaseHolderSchema, type LeaseHolder as ToldHolder } from "../../gen/miroir/v1/topology_pb.js";
import type { LeaseHolder } from "./write-leases.js";

/** The holders of leases as proxies are told of them. */
export interface HoldersToTell {
  /** The same array for the same holders; nobody changes it. */
  readonly all: ToldHolder[];
  /** The one that proxies which know of one writer only send their writes to. */
  readonly main: LeaseHolder | undefined;
}

/**
 * Puts the holders of leases in the words of messages. Holders and lists of them stay the same objects as long as they say the same,
 * so that what is new to a proxy is told from what it knows.
 */
export class ToldHolders {
  #last: { readonly from: readonly LeaseHolder[]; readonly told: HoldersToTell } | undefined;
  readonly #byHolder = new WeakMap<LeaseHolder, ToldHolder>();

  /** What there is to tell of these holders. */
  of(holders: readonly LeaseHolder[]): HoldersToTell {
    if (this.#last?.from !== holders) {
      const told = {
        all: holders.map((holder) => this.#toldOf(holder)),
        // Who knows of one writer only cannot pass writes on to the others; one that can does it for it.
        main: holders.find(({ peerAddress }) => peerAddress !== "") ?? holders[0],
      };
      this.#last = { from: holders, told };
    }
    return this.#last.told;
  }

  #toldOf(holder: LeaseHolder): ToldHolder {
    const known = this.#byHolder.get(holder);
    if (known !== undefined) return known;
    const { proxyId, session, peerAddress, peerKey } = holder;
    const told = create(LeaseHolderSchema, { proxyId, session, peerAddress, peerKey });
    this.#byHolder.set(holder, told);
    return told;
  }
}
