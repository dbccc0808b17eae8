import { Counter, Gauge, type Registry } from "prom-client";

/** What is counted of webhooks. */
export interface WebhookMetrics {
  /** Attempts, by what became of them. */
  readonly requests: Counter<"outcome">;
  /** Finished tasks that webhooks were told of, or were not in spite of all attempts. */
  readonly events: Counter<"outcome">;
  /** Finished tasks that a webhook is still to be told of, by the webhook's uuid. */
  readonly waiting: Gauge<"webhook">;
}

/** Registers the metrics; a second control plane on the same registry shares them. */
export function createWebhookMetrics(registry: Registry): WebhookMetrics {
  const registers = [registry];
  const counter = (name: string, help: string): Counter<"outcome"> =>
    (registry.getSingleMetric(name) as Counter<"outcome"> | undefined) ??
    new Counter({ name, help, labelNames: ["outcome"], registers });
  const waiting = "miroir_webhook_events_waiting";
  return {
    requests: counter("miroir_webhook_requests_total", "Requests to webhooks, by outcome"),
    events: counter("miroir_webhook_events_total", "Finished tasks for webhooks, by outcome"),
    waiting:
      (registry.getSingleMetric(waiting) as Gauge<"webhook"> | undefined) ??
      new Gauge({
        name: waiting,
        help: "Finished tasks that a webhook is still to be told of",
        labelNames: ["webhook"],
        registers,
      }),
  };
}
