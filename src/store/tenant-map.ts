import type { ApiKeyHash } from "./ids.js";
import type { FencingToken } from "./tables/lease.js";
import type { TenantMapTable, TenantRow } from "./tables/tenants.js";

/** A table of tenants whose `put` takes one row. */
interface TenantRows extends Omit<TenantMapTable, "put"> {
  putAll(rows: readonly TenantRow[], fence: FencingToken): Promise<void>;
}

/** Gives a table of tenants the form in which the store offers it, where a call puts many rows. */
export function tenantMapOf(table: TenantRows): TenantMapTable {
  return {
    get: (apiKeyHash: ApiKeyHash) => table.get(apiKeyHash),
    list: (page) => table.list(page),
    put: (rows, fence) => table.putAll(rows, fence),
    delete: (apiKeyHash, fence) => table.delete(apiKeyHash, fence),
  };
}
