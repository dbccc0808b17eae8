import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type ApiKey, ApiKeySchema } from "../../gen/miroir/v1/topology_pb.js";
import { randomUuid } from "../../runtime/uuid.js";
import type { Random } from "../../runtime/world.js";

/** The keys that a new fleet has, as a new Meilisearch has them: name, description, actions, in order of creation. */
const DEFAULTS = [
  {
    name: "Default Chat API Key",
    description: "Use it to chat and search from the frontend",
    actions: ["chatCompletions", "search"],
  },
  {
    name: "Default Read-Only Admin API Key",
    description:
      "Use it to read information across the whole database. Caution! Do not expose this key on a public frontend",
    actions: ["*.get", "keys.get"],
  },
  {
    name: "Default Admin API Key",
    description:
      "Use it for anything that is not a search operation. Caution! Do not expose it on a public frontend",
    actions: ["*"],
  },
  {
    name: "Default Search API Key",
    description: "Use it to search from the frontend",
    actions: ["search"],
  },
] as const;

/** Fresh default keys, in ascending order of uid. Each is created a microsecond after the one before, since lists go by that. */
export function defaultKeys(now: number, random: Random): ApiKey[] {
  return DEFAULTS.map(({ name, description, actions }, position) => {
    const created = timestampFromMs(now);
    created.nanos += position * 1_000;
    return create(ApiKeySchema, {
      uid: randomUuid(random),
      name,
      description,
      actions: [...actions],
      indexes: ["*"],
      createdAt: created,
      updatedAt: created,
    });
  }).sort((a, b) => (a.uid < b.uid ? -1 : 1));
}
