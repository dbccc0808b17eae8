import { notServed } from "./api-errors.js";
import type { RouteAccess, RouteMethod, RouteTable } from "./route-table.js";

/** What Meilisearch serves and Miroir does not; a plain 404 would read as a misspelt route. */
const UNSERVED: readonly (readonly [RouteMethod, string, RouteAccess])[] = [
  ["POST", "/export", "export"],
  ["POST", "/tasks/compact", "tasks.compact"],
  ["GET", "/chats", "chats.get"],
  ["GET", "/chats/:workspaceUid", "chats.get"],
  ["DELETE", "/chats/:workspaceUid", "chats.delete"],
  ["GET", "/chats/:workspaceUid/settings", "chatsSettings.get"],
  ["PATCH", "/chats/:workspaceUid/settings", "chatsSettings.update"],
  ["DELETE", "/chats/:workspaceUid/settings", "chatsSettings.update"],
  ["POST", "/chats/:workspaceUid/chat/completions", "chatCompletions"],
  ["POST", "/dynamic-search-rules", "dynamicSearchRules.get"],
  ["DELETE", "/dynamic-search-rules", "dynamicSearchRules.delete"],
  ["GET", "/dynamic-search-rules/:ruleUid", "dynamicSearchRules.get"],
  ["PATCH", "/dynamic-search-rules/:ruleUid", "dynamicSearchRules.update"],
  ["DELETE", "/dynamic-search-rules/:ruleUid", "dynamicSearchRules.delete"],
  ["POST", "/render-template", "settings.get"],
  ["POST", "/indexes/:indexUid/documents/edit", "documents.*"],
  ["POST", "/indexes/:indexUid/compact", "indexes.compact"],
];

/** Answers those routes with 501 `miroir_not_served`. */
export function registerUnserved(routes: RouteTable): void {
  for (const [method, path, access] of UNSERVED) {
    routes.on(method, path, access, async () => {
      throw notServed(method, path.replace(/:(\w+)/g, "{$1}"));
    });
  }
}
