import { create } from "@bufbuild/protobuf";
import { ResourceSchema, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import {
  CONFIGURED_UUID,
  CONFIGURED_WEBHOOK,
  parseWebhooks,
  printWebhooks,
  type Webhook,
} from "../../webhooks/stored-webhooks.js";

/** A webhook of the control plane's configuration. */
export interface ConfiguredWebhook {
  readonly url: string;
  /** The whole `Authorization` header. */
  readonly authorization?: string | undefined;
}

/** Enters the configured webhook in a draft of the topology, where proxies show it, or takes it out. It keeps its age while it stays. */
export function enterConfiguredWebhook(
  draft: Topology,
  configured: ConfiguredWebhook | undefined,
  now: number,
): void {
  const held = draft.resources.find(({ name }) => name === CONFIGURED_WEBHOOK);
  const others = draft.resources.filter((resource) => resource !== held);
  if (configured === undefined) {
    draft.resources = others;
    return;
  }
  const { url, authorization } = configured;
  const webhook: Webhook = {
    uuid: CONFIGURED_UUID,
    url,
    headers: authorization === undefined ? [] : [["Authorization", authorization]],
    createdAt: parseWebhooks(held?.json)[0]?.createdAt ?? now,
  };
  const json = printWebhooks([webhook]);
  if (held?.json === json) return;
  const resource = create(ResourceSchema, {
    name: CONFIGURED_WEBHOOK,
    json,
    version: (held?.version ?? 0n) + 1n,
  });
  draft.resources = [...others, resource].sort((a, b) => (a.name < b.name ? -1 : 1));
}
