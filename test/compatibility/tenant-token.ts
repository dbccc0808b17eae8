import { createHmac } from "node:crypto";
import { apiKeySecret } from "../../src/proxy/auth/api-key.js";
import { DEFAULT_MASTER_KEY } from "../support/nodes.js";
import type { Step } from "./side-by-side.js";

const KEY_UID = "bbbbbbbb-0000-4000-8000-000000000000";

/** Makes the key that {@link tenantToken} signs with. */
export const createTenantKey: Step = [
  "POST",
  "/keys",
  { uid: KEY_UID, actions: ["search"], indexes: ["*"], expiresAt: null },
];

/** An `Authorization` header with a tenant token. */
export function tenantToken(searchRules: unknown): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const message = `${part({ alg: "HS256", typ: "JWT" })}.${part({ searchRules, apiKeyUid: KEY_UID })}`;
  const secret = apiKeySecret(KEY_UID, DEFAULT_MASTER_KEY);
  return `Bearer ${message}.${createHmac("sha256", secret).update(message).digest("base64url")}`;
}
