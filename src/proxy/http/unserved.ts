import { featureNotAvailable } from "./api-errors.js";
import type { RouteAccess, RouteMethod, RouteTable } from "./route-table.js";

/** What Meilisearch serves and Miroir does not; a plain 404 would read as a misspelt route. */
const UNSERVED: readonly (readonly [RouteMethod, string, RouteAccess])[] = [
  ["POST", "/indexes/:indexUid/documents/edit", "documents.*"],
];

/** Refuses those routes, and says why. */
export function registerUnserved(routes: RouteTable): void {
  for (const [method, path, access] of UNSERVED) {
    routes.on(method, path, access, async () => {
      throw featureNotAvailable(
        `\`${method} ${path.replace(/:(\w+)/g, "{$1}")}\``,
        "A function that reads and writes the same document is not safe to run twice.",
      );
    });
  }
}
