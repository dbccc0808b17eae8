import { notServed } from "./api-errors.js";
import type { RouteAccess, RouteMethod, RouteTable } from "./route-table.js";

/** What Meilisearch serves and Miroir does not; a plain 404 would read as a misspelt route. */
const UNSERVED: readonly (readonly [RouteMethod, string, RouteAccess])[] = [
  ["POST", "/indexes/:indexUid/documents/edit", "documents.*"],
];

/** Answers those routes with 501 `miroir_not_served`. */
export function registerUnserved(routes: RouteTable): void {
  for (const [method, path, access] of UNSERVED) {
    routes.on(method, path, access, async () => {
      throw notServed(method, path.replace(/:(\w+)/g, "{$1}"));
    });
  }
}
