/** The kinds of error that Meilisearch's API knows. */
export type MeilisearchErrorType = "invalid_request" | "internal" | "auth" | "system";

/** The body of every refusal of Meilisearch's API. */
export interface MeilisearchErrorBody {
  readonly message: string;
  readonly code: string;
  readonly type: string;
  readonly link: string;
}

/** A refusal in Meilisearch's shape: made by Miroir, or a node's passed on. */
export class MeilisearchError extends Error {
  override readonly name = "MeilisearchError";
  /** HTTP status. */
  readonly status: number;
  readonly body: MeilisearchErrorBody;
  /** Seconds for a `Retry-After` header; absent for none. */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    status: number,
    body: MeilisearchErrorBody,
    options: ErrorOptions & { retryAfterSeconds?: number } = {},
  ) {
    super(body.message, options);
    this.status = status;
    this.body = body;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** Where Meilisearch documents an error code. */
export function errorLink(code: string): string {
  return `https://docs.meilisearch.com/errors#${code}`;
}

/** Reads a node's error body; undefined where the answer has another shape. */
export function parseErrorBody(body: Buffer): MeilisearchErrorBody | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { message, code, type, link } = value as Record<string, unknown>;
  if (typeof message !== "string" || typeof code !== "string" || typeof type !== "string") return undefined;
  return { message, code, type, link: typeof link === "string" ? link : errorLink(code) };
}
