import { InvalidArgumentError } from "./errors.js";
import type { IdempotencyRow } from "./tables/idempotency.js";

const sha256Length = 32;

/** Refuses an entry whose hash is not one. */
export function checkIdempotencyEntry({ bodySha256 }: Pick<IdempotencyRow, "bodySha256">): void {
  if (bodySha256.byteLength !== sha256Length) {
    throw new InvalidArgumentError(
      `The SHA-256 of a body has ${sha256Length} bytes, not ${bodySha256.byteLength}.`,
    );
  }
}
