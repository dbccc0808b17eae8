import { createContextKey } from "@connectrpc/connect";

/** What every call carries: its id, which logs and the answer's `x-request-id` header show. */
export const requestIdKey = createContextKey<string>("", { description: "request id" });
