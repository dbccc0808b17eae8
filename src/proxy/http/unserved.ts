import { notServed } from "./api-errors.js";
import type { RouteMethod, RouteTable } from "./route-table.js";

/** What Meilisearch serves and Miroir does not; a plain 404 would read as a misspelt route. */
const UNSERVED: readonly (readonly [RouteMethod, string])[] = [
  ["POST", "/multi-search"],
  ["POST", "/swap-indexes"],
  ["POST", "/dumps"],
  ["POST", "/snapshots"],
  ["POST", "/export"],
  ["GET", "/keys"],
  ["POST", "/keys"],
  ["GET", "/keys/:key"],
  ["PATCH", "/keys/:key"],
  ["DELETE", "/keys/:key"],
  ["GET", "/batches"],
  ["GET", "/batches/:batchUid"],
  ["DELETE", "/tasks"],
  ["POST", "/tasks/cancel"],
  ["POST", "/tasks/compact"],
  ["GET", "/tasks/:taskUid/documents"],
  ["GET", "/experimental-features"],
  ["PATCH", "/experimental-features"],
  ["GET", "/network"],
  ["PATCH", "/network"],
  ["POST", "/network/control"],
  ["GET", "/webhooks"],
  ["POST", "/webhooks"],
  ["GET", "/webhooks/:webhookUuid"],
  ["PATCH", "/webhooks/:webhookUuid"],
  ["DELETE", "/webhooks/:webhookUuid"],
  ["GET", "/metrics"],
  ["POST", "/logs/stream"],
  ["DELETE", "/logs/stream"],
  ["POST", "/logs/stderr"],
  ["GET", "/chats"],
  ["GET", "/chats/:workspaceUid"],
  ["DELETE", "/chats/:workspaceUid"],
  ["GET", "/chats/:workspaceUid/settings"],
  ["PATCH", "/chats/:workspaceUid/settings"],
  ["DELETE", "/chats/:workspaceUid/settings"],
  ["POST", "/chats/:workspaceUid/chat/completions"],
  ["POST", "/dynamic-search-rules"],
  ["DELETE", "/dynamic-search-rules"],
  ["GET", "/dynamic-search-rules/:ruleUid"],
  ["PATCH", "/dynamic-search-rules/:ruleUid"],
  ["DELETE", "/dynamic-search-rules/:ruleUid"],
  ["POST", "/render-template"],
  ["POST", "/indexes/:indexUid/facet-search"],
  ["GET", "/indexes/:indexUid/similar"],
  ["POST", "/indexes/:indexUid/similar"],
  ["POST", "/indexes/:indexUid/documents/edit"],
  ["POST", "/indexes/:indexUid/compact"],
  ["POST", "/indexes/:indexUid/fields"],
];

/** Answers those routes with 501 `miroir_not_served`. */
export function registerUnserved(routes: RouteTable): void {
  for (const [method, path] of UNSERVED) {
    routes.on(method, path, async () => {
      throw notServed(method, path.replace(/:(\w+)/g, "{$1}"));
    });
  }
}
