import { Code, ConnectError } from "@connectrpc/connect";
import type { MiroirClient } from "../../client/index.js";
import type { Dump } from "../../dumps/dump-reader.js";

/** What became of what clients had set on the whole server. */
export interface RestoredResources {
  readonly created: number;
  /** Were there already, and stay as they are. */
  readonly present: number;
}

/**
 * Sets what clients had set on the whole server: webhooks, chats, the network. The control plane takes it, under the names and uids that
 * they had; through the public API they would get others.
 *
 * @param client a client of the control plane; undefined where none was named
 */
export async function restoreResources(
  dump: Dump,
  client: Pick<MiroirClient, "resources"> | undefined,
): Promise<RestoredResources | { readonly leftOut: string }> {
  const resources = await dump.resources();
  let [created, present] = [0, 0];
  if (resources.length === 0) return { created, present };
  if (client === undefined) {
    return { leftOut: `name the control plane with --server to restore ${resources.length}` };
  }
  for (const { name, json } of resources) {
    try {
      await client.resources.setResource({ name: String(name), expectedVersion: 0n, json: String(json) });
      created += 1;
    } catch (error) {
      if (!(error instanceof ConnectError) || error.code !== Code.Aborted) throw error;
      present += 1;
    }
  }
  return { created, present };
}
