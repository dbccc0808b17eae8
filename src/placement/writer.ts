import { createRendezvous, rankNodes } from "./rendezvous.js";

/**
 * The proxies in the order in which they are to write the index of that name (rendezvous hashing): every process finds the same order, and a
 * proxy's coming or going leaves that of the others alone.
 */
export function rankWriters<Proxy extends { readonly proxyId: string }>(
  indexUid: string,
  proxies: readonly Proxy[],
): Proxy[] {
  const ranked = rankNodes(
    createRendezvous(indexUid),
    0,
    proxies.map((proxy) => ({ node: proxy.proxyId, proxy })),
  );
  return ranked.map(({ proxy }) => proxy);
}
