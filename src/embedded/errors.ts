/** The `type` member of a Meilisearch error body. */
export type ErrorType = "invalid_request" | "auth" | "internal" | "system";

/** An error body as Meilisearch writes it, in a response or in a failed task. */
export interface ErrorBody {
  readonly message: string;
  readonly code: string;
  readonly type: ErrorType;
  readonly link: string;
}

const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  api_key_already_exists: 409,
  api_key_not_found: 404,
  batch_not_found: 404,
  document_not_found: 404,
  index_already_exists: 409,
  index_not_found: 404,
  internal: 500,
  invalid_api_key: 403,
  invalid_content_type: 415,
  missing_authorization_header: 401,
  missing_content_type: 415,
  missing_master_key: 401,
  payload_too_large: 413,
  task_not_found: 404,
};

const AUTH_CODES = new Set(["invalid_api_key", "missing_authorization_header", "missing_master_key"]);

/** An error that a client sees, with Meilisearch's code; status, type and link follow from the code. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }

  /** HTTP status; 400 for codes without one of their own. */
  get status(): number {
    return STATUS_BY_CODE[this.code] ?? 400;
  }

  /** The body that Meilisearch sends for this error. */
  get body(): ErrorBody {
    const type =
      this.code === "internal" ? "internal" : AUTH_CODES.has(this.code) ? "auth" : "invalid_request";
    return {
      message: this.message,
      code: this.code,
      type,
      link: `https://docs.meilisearch.com/errors#${this.code}`,
    };
  }
}

/** The error for an index that does not exist. */
export function indexNotFound(uid: string): ApiError {
  return new ApiError("index_not_found", `Index \`${uid}\` not found.`);
}
