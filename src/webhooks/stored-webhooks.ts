import { maskSecret } from "../settings/mask-secret.js";

/** An address that finished tasks are told to. */
export interface Webhook {
  /** In lower case with hyphens. */
  readonly uuid: string;
  readonly url: string;
  /** In ascending order of name, byte by byte. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Milliseconds since the Unix epoch; tasks that finished before are not told. */
  readonly createdAt: number;
}

/** Name of the resource that holds the webhooks which clients have set. */
export const WEBHOOKS = "webhooks";

/** Name of the resource that holds the webhook of the control plane's configuration. */
export const CONFIGURED_WEBHOOK = "webhooks/configured";

/** The uuid of the webhook of the configuration, which clients cannot change. */
export const CONFIGURED_UUID = "00000000-0000-0000-0000-000000000000";

/** The webhooks of a resource's JSON, in ascending order of uuid; none where there is no such resource. */
export function parseWebhooks(json: string | undefined): readonly Webhook[] {
  return json === undefined ? [] : (JSON.parse(json) as readonly Webhook[]);
}

/** What a resource holds of these webhooks. */
export function printWebhooks(webhooks: readonly Webhook[]): string {
  return JSON.stringify(
    [...webhooks]
      .sort((a, b) => (a.uuid < b.uuid ? -1 : 1))
      .map(({ uuid, url, headers, createdAt }) => ({ uuid, url, headers, createdAt })),
  );
}

/** Headers as clients are shown them: the credentials of `Authorization` hidden, as Meilisearch hides them. */
export function shownHeaders({ headers }: Webhook): Webhook["headers"] {
  return headers.map(([name, value]) => {
    if (name.toLowerCase() !== "authorization") return [name, value];
    return [name, maskSecret(value, value.startsWith(BEARER) ? BEARER.length : 0)];
  });
}

const BEARER = "Bearer ";
