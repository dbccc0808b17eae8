import type { MeilisearchHttp } from "../support/meilisearch-http.js";
import type { LoadRequest } from "./caller.js";

const BEHIND_HITS = '],"query":';

/**
 * Asks `api` each of the searches, and gives a check of answers to them: all of their hits have to be those, byte for byte. What stands
 * behind the hits tells how long the search took.
 *
 * @throws Error where a search finds nothing
 */
export async function checkOfHits(
  api: MeilisearchHttp,
  requests: readonly LoadRequest[],
): Promise<(at: number, body: Buffer) => boolean> {
  const expected: Buffer[] = [];
  for (const { method, path, body } of requests) {
    const { text } = await api.send(method, path, body);
    const end = text.lastIndexOf(BEHIND_HITS);
    if (!text.startsWith('{"hits":[{') || end === -1) throw new Error(`${body} finds nothing: ${text}`);
    expected.push(Buffer.from(text.slice(0, end + BEHIND_HITS.length)));
  }
  return (at, body) => {
    const start = expected[at];
    if (start === undefined || body.length < start.length) return false;
    return body.compare(start, 0, start.length, 0, start.length) === 0;
  };
}
