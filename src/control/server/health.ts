import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  type Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../gen/grpc/health/v1/health_pb.js";

/** Calls of Watch that may be open at once. */
const MAX_WATCHES = 1_000;

/** Whether the server can do its work. */
export interface HealthState {
  serving(): boolean;
  /** Calls back after each change; returns the function that ends it. */
  onChange(listener: () => void): () => void;
}

/** `grpc.health.v1.Health` for the server as a whole (the empty name) and for `services`, which all stand and fall together. */
export function createHealthService(
  state: HealthState,
  services: readonly string[],
): ServiceImpl<typeof Health> {
  const known = new Set(["", ...services]);
  const statusOf = (service: string) => {
    if (!known.has(service)) return ServingStatus.SERVICE_UNKNOWN;
    return state.serving() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  };
  let watches = 0;
  return {
    check({ service }) {
      if (!known.has(service)) throw new ConnectError(`no service ${service} here`, Code.NotFound);
      return { status: statusOf(service) };
    },
    async *watch({ service }, { signal }) {
      if (watches >= MAX_WATCHES) {
        throw new ConnectError(`${MAX_WATCHES} watches are open`, Code.ResourceExhausted);
      }
      watches += 1;
      let wake: () => void = () => undefined;
      const stopListening = state.onChange(() => wake());
      const onAbort = () => wake();
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        let sent: ServingStatus | undefined;
        while (!signal.aborted) {
          const changed = new Promise<void>((resolve) => {
            wake = resolve;
          });
          const status = statusOf(service);
          if (status === sent) {
            await changed;
          } else {
            sent = status;
            yield { status };
          }
        }
        throw ConnectError.from(signal.reason, Code.Canceled);
      } finally {
        watches -= 1;
        stopListening();
        signal.removeEventListener("abort", onAbort);
      }
    },
  };
}
