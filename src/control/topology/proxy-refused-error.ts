/** Why a proxy cannot be served. */
export class ProxyRefusedError extends Error {
  override readonly name = "ProxyRefusedError";
  readonly kind: "not_leader" | "full" | "invalid" | "replaced" | "silent" | "closing";

  constructor(kind: ProxyRefusedError["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}
