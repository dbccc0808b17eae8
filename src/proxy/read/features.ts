/** Meilisearch's experimental features that can be switched while it runs, in the order in which it prints them. */
export const experimentalFeatures = [
  "metrics",
  "logsRoute",
  "editDocumentsByFunction",
  "containsFilter",
  "dynamicSearchRules",
  "network",
  "getTaskDocumentsRoute",
  "taskQueueCompactionRoute",
  "compositeEmbedders",
  "chatCompletions",
  "multimodal",
  "foreignKeys",
  "disableDocumentsFetchQueue",
  "legacySearch",
  "renderRoute",
] as const;
