import { createHash, timingSafeEqual } from "node:crypto";
import { apiError } from "./api-errors.js";

/** Checks the `Authorization` header of a request. @throws MeilisearchError 401 or 403 */
export type Authenticate = (header: string | undefined) => void;

/**
 * Authentication with a master key, as Meilisearch answers it. Without a key everything is open, but a
 * header that is no bearer header is refused all the same.
 */
export function createAuthenticate(masterKey: string | undefined): Authenticate {
  const expected = masterKey === undefined || masterKey === "" ? undefined : digest(masterKey);
  return (header) => {
    const token = bearerToken(header);
    if (expected === undefined) return;
    if (token === undefined) throw missingHeader();
    if (!timingSafeEqual(digest(token), expected)) throw invalidKey();
  };
}

function bearerToken(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const space = header.indexOf(" ");
  if ((space === -1 ? header : header.slice(0, space)) !== "Bearer") throw missingHeader();
  if (space === -1) throw invalidKey();
  return header.slice(space + 1);
}

/** Equal lengths are what a comparison in constant time needs. */
function digest(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}

function missingHeader() {
  return apiError(
    401,
    "missing_authorization_header",
    "The Authorization header is missing. It must use the bearer authorization method.",
    "auth",
  );
}

function invalidKey() {
  return apiError(403, "invalid_api_key", "The provided API key is invalid.", "auth");
}
