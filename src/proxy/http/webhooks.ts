import type { MeilisearchError } from "../../meilisearch/errors.js";
import { randomUuid } from "../../runtime/uuid.js";
import {
  CONFIGURED_UUID,
  CONFIGURED_WEBHOOK,
  parseWebhooks,
  printWebhooks,
  shownHeaders,
  WEBHOOKS,
  type Webhook,
} from "../../webhooks/stored-webhooks.js";
import { normalizedUuid } from "../auth/api-key.js";
import { currentView } from "../read/indexes.js";
import { apiError } from "./api-errors.js";
import { parseJsonBody } from "./json-values.js";
import { readJsonBody } from "./request-body.js";
import { changeResource } from "./resource-change.js";
import { bodySource, parameter, type RouteRequest, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";
import {
  changedWebhook,
  checkCreation,
  createdWebhook,
  readWebhookSettings,
  type WebhookSettings,
} from "./webhook-settings.js";

const MAX_WEBHOOKS = 20;

/** Addresses that finished tasks are told to, under Meilisearch's routes. The control plane does the telling. */
export function registerWebhooks(routes: RouteTable, services: RouteServices): void {
  const { topology, world, config } = services;
  const readSettings = async (request: RouteRequest): Promise<WebhookSettings> =>
    readWebhookSettings(parseJsonBody(await readJsonBody(bodySource(request), config.maxBodyBytes)));
  const uuidOf = (request: RouteRequest): string => webhookUuid(parameter(request, "webhookUuid"));
  const held = (): readonly Webhook[] => {
    const { resources } = currentView(topology);
    return [CONFIGURED_WEBHOOK, WEBHOOKS].flatMap((name) => parseWebhooks(resources.get(name)?.json));
  };
  /** Resolves once this proxy shows the webhooks that `make` makes of those that are there. */
  const change = (
    request: RouteRequest,
    make: (webhooks: readonly Webhook[]) => readonly Webhook[],
  ): Promise<void> =>
    changeResource(services, WEBHOOKS, (json) => printWebhooks(make(parseWebhooks(json))), request.signal, {
      invalid_argument: tooLarge,
    });

  routes.on("GET", "/webhooks", "webhooks.get", async () => ({
    status: 200,
    body: `{"results":[${held().map(printWebhook).join(",")}]}`,
  }));

  routes.on("GET", "/webhooks/:webhookUuid", "webhooks.get", async (request) => ({
    status: 200,
    body: printWebhook(find(held(), uuidOf(request))),
  }));

  routes.on("POST", "/webhooks", "webhooks.create", async (request) => {
    const settings = await readSettings(request);
    const uuid = randomUuid(world.random);
    checkCreation(uuid, settings);
    await change(request, (webhooks) => {
      if (webhooks.length >= MAX_WEBHOOKS) throw tooMany();
      return [...webhooks, createdWebhook(uuid, settings, world.clock.now())];
    });
    return { status: 201, body: printWebhook(find(held(), uuid)) };
  });

  routes.on("PATCH", "/webhooks/:webhookUuid", "webhooks.update", async (request) => {
    const settings = await readSettings(request);
    const uuid = uuidOf(request);
    if (uuid === CONFIGURED_UUID) throw configuredIsImmutable();
    await change(request, (webhooks) => {
      const webhook = changedWebhook(find(webhooks, uuid), settings);
      return webhooks.map((other) => (other.uuid === uuid ? webhook : other));
    });
    return { status: 200, body: printWebhook(find(held(), uuid)) };
  });

  routes.on("DELETE", "/webhooks/:webhookUuid", "webhooks.delete", async (request) => {
    const uuid = uuidOf(request);
    if (uuid === CONFIGURED_UUID) throw configuredIsImmutable();
    await change(request, (webhooks) => {
      const webhook = find(webhooks, uuid);
      return webhooks.filter((other) => other !== webhook);
    });
    return { status: 204 };
  });
}

/** Members in Meilisearch's order. */
function printWebhook(webhook: Webhook): string {
  const headers = shownHeaders(webhook).map(
    ([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`,
  );
  return `{"uuid":"${webhook.uuid}","isEditable":${webhook.uuid !== CONFIGURED_UUID},"url":${JSON.stringify(webhook.url)},"headers":{${headers.join(",")}}}`;
}

function find(webhooks: readonly Webhook[], uuid: string): Webhook {
  const webhook = webhooks.find((candidate) => candidate.uuid === uuid);
  if (webhook === undefined) throw apiError(404, "webhook_not_found", `Webhook \`${uuid}\` not found.`);
  return webhook;
}

function webhookUuid(text: string): string {
  const uuid = normalizedUuid(text);
  if (uuid !== undefined) return uuid;
  throw apiError(400, "invalid_webhook_uuid", `Invalid UUID: ${fault(text)}`);
}

const GROUPS = [8, 4, 4, 4, 12];

/** What Meilisearch says of a text in a path that is no UUID. */
function fault(text: string): string {
  const inner = /^urn:uuid:(.*)$/i.exec(text)?.[1] ?? /^\{(.*)\}$/.exec(text)?.[1] ?? text;
  const at = inner.search(/[^0-9a-fA-F-]/);
  if (at >= 0)
    return `invalid character: found \`${String.fromCodePoint(inner.codePointAt(at) ?? 0)}\` at ${at}`;
  const groups = inner.split("-");
  if (groups.length === 1 && inner === text) return `invalid length: found ${text.length}`;
  if (groups.length !== GROUPS.length) {
    return `invalid group count: expected ${GROUPS.length}, found ${groups.length}`;
  }
  const group = groups.findIndex(({ length }, position) => length !== GROUPS[position]);
  return `invalid group length in group ${group}: expected ${GROUPS[group]}, found ${groups[group]?.length}`;
}

function configuredIsImmutable(): MeilisearchError {
  return apiError(
    400,
    "immutable_webhook",
    `Webhook \`${CONFIGURED_UUID}\` is immutable. The webhook defined from the command line cannot be modified using the API.`,
  );
}

function tooMany(): MeilisearchError {
  return apiError(
    400,
    "invalid_webhooks",
    `Defining too many webhooks would crush the server. Please limit the number of webhooks to ${MAX_WEBHOOKS}. You may use a third-party proxy server to dispatch events to more than ${MAX_WEBHOOKS} endpoints.`,
  );
}

function tooLarge(): MeilisearchError {
  return apiError(
    400,
    "invalid_webhook_headers",
    "The headers of all webhooks together are longer than the 1 MiB that Miroir keeps.",
  );
}
