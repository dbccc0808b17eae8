import { CommandError, ExitCode } from "../exit-codes.js";
import type { EnqueuedAnswer, ProxyApi } from "../proxy-api.js";

const CHECK_INDEX = "miroir-self-check";
const DOCUMENTS = 60;
const TASK_TIMEOUT_MS = 60_000;

/**
 * Takes the running fleet through the main job: writes documents, finds them, changes and deletes some, and removes
 * the index again.
 *
 * @throws CommandError that says which step gave what instead of what.
 */
export async function checkFleet(api: ProxyApi): Promise<void> {
  const done = async (answer: Promise<EnqueuedAnswer>): Promise<void> =>
    api.taskDone((await answer).taskUid, TASK_TIMEOUT_MS);
  const documents = Array.from({ length: DOCUMENTS }, (_, id) => ({
    id,
    word: id % 2 === 0 ? "even" : "odd",
    rank: id,
  }));
  await done(api.call("POST", `/indexes/${CHECK_INDEX}/documents?primaryKey=id`, documents));
  await done(
    api.call("PATCH", `/indexes/${CHECK_INDEX}/settings`, {
      filterableAttributes: ["word"],
      sortableAttributes: ["rank"],
    }),
  );

  const search = { q: "even", sort: ["rank:desc"], facets: ["word"], page: 1, hitsPerPage: 5 };
  const found = await api.call<{ hits: { id: number }[]; totalHits: number; facetDistribution: unknown }>(
    "POST",
    `/indexes/${CHECK_INDEX}/search`,
    search,
  );
  expectEqual(
    "a sorted search",
    found.hits.map(({ id }) => id),
    [58, 56, 54, 52, 50],
  );
  expectEqual("its total", found.totalHits, DOCUMENTS / 2);
  expectEqual("its facets", found.facetDistribution, { word: { even: DOCUMENTS / 2 } });

  await done(api.call("DELETE", `/indexes/${CHECK_INDEX}/documents/58`));
  const after = await api.call<{ hits: { id: number }[] }>("POST", `/indexes/${CHECK_INDEX}/search`, search);
  expectEqual("a search after a deletion", after.hits[0]?.id, 56);
  const stats = await api.call<{ numberOfDocuments: number }>("GET", `/indexes/${CHECK_INDEX}/stats`);
  expectEqual("the number of documents", stats.numberOfDocuments, DOCUMENTS - 1);
  await done(api.call("DELETE", `/indexes/${CHECK_INDEX}`));
}

function expectEqual(what: string, actual: unknown, expected: unknown): void {
  const [got, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (got !== wanted)
    throw new CommandError(
      ExitCode.failure,
      `the check of the running fleet failed: ${what} gave ${got} instead of ${wanted}`,
    );
}
