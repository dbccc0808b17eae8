import type { MeilisearchError } from "../../meilisearch/errors.js";
import type { Webhook } from "../../webhooks/stored-webhooks.js";
import { apiError } from "./api-errors.js";
import { asObject, unknownField, wrongType } from "./json-values.js";
import { quotedList } from "./query-parameters.js";
import { urlFault } from "./url-fault.js";

const FIELDS = ["url", "headers"] as const;
const MAX_HEADERS = 200;
const URL_CODE = "invalid_webhook_url";
const HEADERS_CODE = "invalid_webhook_headers";

/** What a client sets of a webhook; null resets, and what is absent stays. */
export interface WebhookSettings {
  readonly url?: string | null;
  readonly headers?: ReadonlyMap<string, string | null> | null;
}

/** Reads the body of a creation or a change. @throws MeilisearchError */
export function readWebhookSettings(body: unknown): WebhookSettings {
  const settings: { url?: string | null; headers?: ReadonlyMap<string, string | null> | null } = {};
  for (const [name, value] of Object.entries(asObject(body))) {
    switch (name) {
      case "url":
        if (value !== null && typeof value !== "string") throw wrongType(".url", "a string", value, URL_CODE);
        settings.url = value;
        break;
      case "headers":
        settings.headers = value === null ? null : readHeaders(value);
        break;
      case "uuid":
        throw immutable(name, "immutable_webhook_uuid");
      case "isEditable":
        throw immutable(name, "immutable_webhook_is_editable");
      default:
        throw unknownField(name, FIELDS);
    }
  }
  return settings;
}

function readHeaders(value: unknown): ReadonlyMap<string, string | null> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrongType(".headers", "an object", value, HEADERS_CODE);
  }
  const headers = new Map<string, string | null>();
  for (const [name, text] of Object.entries(value as Record<string, unknown>)) {
    if (text !== null && typeof text !== "string") {
      throw wrongType(`.headers.${name}`, "a string", text, HEADERS_CODE);
    }
    headers.set(name, text);
  }
  return headers;
}

/** What a creation says that needs no look at the webhooks there are. @throws MeilisearchError */
export function checkCreation(uuid: string, { headers }: WebhookSettings): void {
  if ((headers?.size ?? 0) > MAX_HEADERS) throw tooManyHeaders(uuid);
}

/** The webhook that a creation makes. @throws MeilisearchError */
export function createdWebhook(uuid: string, { url, headers }: WebhookSettings, createdAt: number): Webhook {
  if (url === undefined || url === null) throw missingUrl(uuid);
  return checked({
    uuid,
    url,
    headers: sorted([...(headers ?? [])].map(([name, value]) => [name, value ?? ""])),
    createdAt,
  });
}

/** The webhook that a change makes of another. @throws MeilisearchError */
export function changedWebhook(webhook: Webhook, { url, headers }: WebhookSettings): Webhook {
  if (url === null) throw missingUrl(webhook.uuid);
  const next = new Map(headers === null ? [] : webhook.headers);
  for (const [name, value] of headers ?? []) {
    if (value === null) next.delete(name);
    else next.set(name, value);
  }
  if (next.size > MAX_HEADERS) throw tooManyHeaders(webhook.uuid);
  return checked({ ...webhook, url: url ?? webhook.url, headers: sorted([...next]) });
}

function checked(webhook: Webhook): Webhook {
  if (webhook.url === "") throw missingUrl(webhook.uuid);
  for (const [name, value] of webhook.headers) {
    if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,65535}$/.test(name)) {
      throw apiError(400, HEADERS_CODE, `Invalid header name \`${name}\`: invalid HTTP header name`);
    }
    if (!/^(?:\t|[^\p{Cc}]|[\u0080-\u009f])*$/u.test(value)) {
      throw apiError(400, HEADERS_CODE, `Invalid header value \`${name}\`: failed to parse header value`);
    }
  }
  const fault = urlFault(webhook.url);
  if (fault !== undefined) throw apiError(400, URL_CODE, `Invalid URL \`${webhook.url}\`: ${fault}`);
  return webhook;
}

function sorted(headers: readonly (readonly [string, string])[]): Webhook["headers"] {
  return [...headers].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function immutable(name: string, code: string): MeilisearchError {
  return apiError(400, code, `Immutable field \`${name}\`: expected one of ${quotedList(FIELDS)}`);
}

function missingUrl(uuid: string): MeilisearchError {
  return apiError(400, URL_CODE, `The URL for the webhook \`${uuid}\` is missing.`);
}

function tooManyHeaders(uuid: string): MeilisearchError {
  return apiError(
    400,
    HEADERS_CODE,
    `Too many headers for the webhook \`${uuid}\`. Please limit the number of headers to ${MAX_HEADERS}. Hint: To remove an already defined header set its value to \`null\``,
  );
}
