/** What `GET /version` answers. It says plainly that this is not Meilisearch. */
export const EMBEDDED_VERSION = {
  commitSha: "miroir-embedded",
  commitDate: "2026-01-01T00:00:00Z",
  /** The version of Meilisearch whose API the node follows. */
  pkgVersion: "1.50.0",
  embedded: "Miroir's embedded development node; not Meilisearch",
} as const;
