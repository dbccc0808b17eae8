/**
 * Runs `work` for every item, few at a time, and gives the results in the items' order. Once one fails, none behind it is
 * started.
 *
 * @param limit how many run at once; at least 1
 * @throws the error of the first item, in their order, that failed
 */
export async function mapBounded<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T, at: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  let failure: { readonly at: number; readonly error: unknown } | undefined;
  const worker = async (): Promise<void> => {
    for (;;) {
      const at = next++;
      const item = items[at];
      if (at >= items.length || item === undefined) return;
      if (failure !== undefined && failure.at < at) return;
      try {
        results[at] = await work(item, at);
      } catch (error) {
        if (failure === undefined || at < failure.at) failure = { at, error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  if (failure !== undefined) throw failure.error;
  return results;
}
