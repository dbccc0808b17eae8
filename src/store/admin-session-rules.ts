import { ConflictError, InvalidArgumentError } from "./errors.js";
import { apiKeyHash } from "./ids.js";
import { checkText, checkTtl } from "./limits.js";
import type { NewAdminSession } from "./tables/admin-sessions.js";

/** Characters of what a browser sends along: no header is longer. */
const maxHeaderLength = 16_384;

/** Refuses sessions that are out of range, and keys that are not hashed. */
export function checkNewAdminSession(session: NewAdminSession, ttlMs: number): void {
  apiKeyHash(session.adminKeyHash);
  checkHeader(session.csrfToken, "The token of an admin session");
  checkHeader(session.userAgent, "The user agent of an admin session");
  checkHeader(session.sourceIp, "The address of an admin session");
  checkTtl(ttlMs, "The life of an admin session");
}

/** The error for an id that is taken. It does not name the id, which is as good as a password. */
export function adminSessionExists(): ConflictError {
  return new ConflictError("There is an admin session with this id. Begin it under another, random one.");
}

function checkHeader(text: string | null, what: string): void {
  checkText(text, what);
  if (text !== null && text.length > maxHeaderLength) {
    throw new InvalidArgumentError(
      `${what} has at most ${maxHeaderLength} characters, not ${text.length}; shorten it.`,
    );
  }
}
