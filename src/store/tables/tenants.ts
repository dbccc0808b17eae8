import type { ApiKeyHash } from "../ids.js";
import type { FencingToken } from "./lease.js";

/** Which tenant an API key belongs to. */
export interface TenantRow {
  readonly apiKeyHash: ApiKeyHash;
  readonly tenantId: string;
  /** The replica group that serves the tenant; null to have it chosen by the tenant's id. */
  readonly groupId: number | null;
}

/** The tenants of API keys, of which only hashes are kept. */
export interface TenantMapTable {
  get(apiKeyHash: ApiKeyHash): Promise<TenantRow | undefined>;
  /** In ascending order of hash; after `after`. `limit`: 1 to 10,000; 1,000 unless given. */
  list(page?: { after?: ApiKeyHash; limit?: number }): Promise<readonly TenantRow[]>;
  /** Inserts or replaces. */
  put(rows: readonly TenantRow[], fence: FencingToken): Promise<void>;
  /** False where the key was not mapped. */
  delete(apiKeyHash: ApiKeyHash, fence: FencingToken): Promise<boolean>;
}
