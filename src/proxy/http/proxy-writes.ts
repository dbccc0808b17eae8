import type { DocumentWriteRequest, WriteResult } from "../write/types.js";

/** The write path as the routes use it. Every method rejects with a `MeilisearchError`. */
export interface ProxyWrites {
  submit(request: DocumentWriteRequest, signal: AbortSignal): Promise<WriteResult>;
  createIndex(
    request: { readonly uid: string; readonly primaryKey: string | undefined },
    signal: AbortSignal,
  ): Promise<WriteResult>;
  updateIndex(
    indexUid: string,
    change: { readonly primaryKey: string | undefined; readonly newUid: string | undefined },
    signal: AbortSignal,
  ): Promise<WriteResult>;
  deleteIndex(indexUid: string, signal: AbortSignal): Promise<WriteResult>;
  /** `patch` holds the members to change, null for one to reset; `isDeletion` says that the client reset them by DELETE. */
  updateSettings(
    indexUid: string,
    patch: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
  ): Promise<WriteResult>;
}
