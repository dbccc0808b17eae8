import { createHash, timingSafeEqual } from "node:crypto";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

/** Services that tell nothing but whether the server works and which methods it has. */
const OPEN_SERVICES: ReadonlySet<string> = new Set([
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
]);

/**
 * Asks every call for the admin key, as `Authorization: Bearer <key>` or `X-Admin-Key: <key>`. Health and reflection are
 * open. Without a key everything is.
 */
export function requireAdminKey(adminKey: string | undefined): Interceptor {
  if (adminKey === undefined) return (next) => next;
  const expected = digest(adminKey);
  return (next) => (request) => {
    if (OPEN_SERVICES.has(request.service.typeName)) return next(request);
    const given = givenKey(request.header);
    if (given === undefined) {
      throw new ConnectError(
        "the admin key is missing: send it as Authorization: Bearer <key>, or as X-Admin-Key",
        Code.Unauthenticated,
      );
    }
    // Digests have one length, so that the comparison takes the same time whatever was given.
    if (!timingSafeEqual(digest(given), expected)) {
      throw new ConnectError("the admin key is not the one of this control plane", Code.Unauthenticated);
    }
    return next(request);
  };
}

function givenKey(header: Headers): string | undefined {
  const direct = header.get("x-admin-key");
  if (direct !== null) return direct;
  return /^Bearer +(\S+)$/i.exec(header.get("authorization") ?? "")?.[1];
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
