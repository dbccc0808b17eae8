import { MeilisearchError, parseErrorBody } from "../../meilisearch/errors.js";
import type { NodeJudged, NodeRefusals } from "../read/node-refusals.js";
import { apiError } from "./api-errors.js";

/**
 * How a node refuses a request that every node refuses, whatever it says. Only for such requests: a node would do what it does not
 * refuse.
 */
export async function nodeVerdict(
  refusals: NodeRefusals,
  request: Omit<NodeJudged, "asAdmin">,
  signal: AbortSignal,
): Promise<MeilisearchError> {
  const response = await refusals.verdict({ ...request, asAdmin: true }, signal);
  const body = response === undefined ? undefined : parseErrorBody(response.body);
  if (response === undefined || body === undefined) {
    return apiError(400, "bad_request", "The request could not be understood.");
  }
  return new MeilisearchError(response.status, body);
}
