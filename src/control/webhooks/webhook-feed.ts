import type { Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { TaskRow } from "../../store/task-store.js";
import { CONFIGURED_WEBHOOK, parseWebhooks, WEBHOOKS, type Webhook } from "../../webhooks/stored-webhooks.js";
import { WebhookDelivery, type WebhookDeliveryOptions } from "./webhook-delivery.js";

/** Tells the webhooks of the topology of tasks that become final; the leader's work. */
export class WebhookFeed {
  readonly #options: WebhookDeliveryOptions;
  readonly #deliveries = new Map<string, WebhookDelivery>();
  readonly #ending = new Set<Promise<void>>();
  #known: readonly string[] = [];
  #stopped = false;

  constructor(options: WebhookDeliveryOptions) {
    this.#options = options;
  }

  /** Tasks have become final. */
  finished(rows: readonly TaskRow[]): void {
    for (const delivery of this.#deliveries.values()) delivery.announce(rows);
  }

  /** Takes note of the webhooks of a newly published topology. */
  published(topology: Topology): void {
    if (this.#stopped) return;
    const documents = [CONFIGURED_WEBHOOK, WEBHOOKS].map(
      (name) => topology.resources.find((resource) => resource.name === name)?.json ?? "",
    );
    if (documents.every((json, at) => json === this.#known[at])) return;
    this.#known = documents;
    const webhooks = documents.flatMap((json) => parseWebhooks(json === "" ? undefined : json));
    for (const webhook of webhooks) this.#take(webhook);
    for (const [uuid, delivery] of this.#deliveries) {
      if (webhooks.some((webhook) => webhook.uuid === uuid)) continue;
      this.#deliveries.delete(uuid);
      this.#end(uuid, delivery);
    }
  }

  /** Breaks off what is under way; the next leader goes on with it. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#deliveries.values()].map((delivery) => delivery.stop()));
    await Promise.all(this.#ending);
  }

  #take(webhook: Webhook): void {
    const delivery = this.#deliveries.get(webhook.uuid);
    if (delivery !== undefined) delivery.update(webhook);
    else this.#deliveries.set(webhook.uuid, new WebhookDelivery(webhook, this.#options));
  }

  #end(uuid: string, delivery: WebhookDelivery): void {
    const ending = delivery
      .remove()
      .catch((error: unknown) => {
        this.#options.logger.warn({ err: error, webhook: uuid }, "a deleted webhook's cursor is left behind");
      })
      .finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }
}
