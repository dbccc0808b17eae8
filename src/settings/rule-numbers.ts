import { SHARD_FIELD } from "../placement/injected-fields.js";
import { toNodeSettings } from "./canonical-settings.js";

/**
 * A node's message with the numbers that the client's filterable rules have for the client: where rules of Miroir's stand in front
 * of them, a node counts those too.
 *
 * @param filterableAttributes the client's, as committed
 */
export function withClientRuleNumbers(message: string, filterableAttributes: unknown): string {
  if (!Array.isArray(filterableAttributes) || !message.includes("rule #")) return message;
  const onNodes = toNodeSettings({ filterableAttributes }).filterableAttributes as readonly unknown[];
  const inFront = onNodes[0] === SHARD_FIELD ? onNodes.length - filterableAttributes.length : 0;
  return message.replace(/\brule #(\d+)/g, (text, number: string) =>
    Number(number) < inFront ? text : `rule #${Number(number) - inFront}`,
  );
}
