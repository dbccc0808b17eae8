import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { KeyService, TextChange } from "../../gen/miroir/v1/keys_pb.js";
import { type ApiKey, ApiKeySchema, type Epoch, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { Clock } from "../../runtime/world.js";
import type { TopologyManager } from "../topology/topology-manager.js";

/** Keys of one fleet; every proxy holds them all. */
const MAX_KEYS = 10_000;

/** What {@link createKeyService} works with. */
export interface KeyServiceOptions {
  readonly topology: TopologyManager;
  readonly clock: Pick<Clock, "now">;
}

/** Serves clients' API keys, which are a part of the topology: a change reaches the proxies as any other does. */
export function createKeyService({ topology, clock }: KeyServiceOptions): ServiceImpl<typeof KeyService> {
  return {
    async createKey({ key }) {
      if (key === undefined) throw new ConnectError("there is no key to create", Code.InvalidArgument);
      const now = timestampFromMs(clock.now());
      const created = create(ApiKeySchema, { ...key, createdAt: now, updatedAt: now });
      const next = await topology.change(`key ${key.uid} is created`, (draft) => {
        if (draft.apiKeys.some(({ uid }) => uid === key.uid)) {
          throw new ConnectError(`there is a key ${key.uid} already`, Code.AlreadyExists);
        }
        if (draft.apiKeys.length >= MAX_KEYS) {
          throw new ConnectError(
            `there are ${MAX_KEYS} keys, as many as there may be; delete some`,
            Code.ResourceExhausted,
          );
        }
        draft.apiKeys = [...draft.apiKeys, created].sort(byUid);
      });
      return { key: created, epoch: epochOf(next) };
    },
    async updateKey({ uid, name, description }) {
      const next = await topology.change(`key ${uid} is described anew`, (draft) => {
        const key = keyOf(draft.apiKeys, uid);
        change(key, "name", name);
        change(key, "description", description);
        key.updatedAt = timestampFromMs(clock.now());
      });
      return { key: keyOf(next.apiKeys, uid), epoch: epochOf(next) };
    },
    async deleteKey({ uid }) {
      const next = await topology.change(`key ${uid} is deleted`, (draft) => {
        keyOf(draft.apiKeys, uid);
        draft.apiKeys = draft.apiKeys.filter((key) => key.uid !== uid);
      });
      return { epoch: epochOf(next) };
    },
    async listKeys() {
      return { keys: topology.current().apiKeys };
    },
  };
}

function keyOf(keys: readonly ApiKey[], uid: string): ApiKey {
  const key = keys.find((candidate) => candidate.uid === uid);
  if (key === undefined) throw new ConnectError(`there is no key ${uid}`, Code.NotFound);
  return key;
}

function change(key: ApiKey, member: "name" | "description", to: TextChange | undefined): void {
  if (to === undefined) return;
  if (to.value === undefined) delete key[member];
  else key[member] = to.value;
}

function byUid(a: ApiKey, b: ApiKey): number {
  return a.uid < b.uid ? -1 : 1;
}

function epochOf({ epoch }: Topology): Epoch {
  if (epoch === undefined) throw new ConnectError("the topology has no epoch", Code.Internal);
  return epoch;
}
