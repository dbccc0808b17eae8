import { Readable } from "node:stream";
import type { LogLevel } from "../../runtime/log-output.js";
import { apiError, featureNotAvailable } from "./api-errors.js";
import { flag, invalidValue, object, oneOf } from "./body-schema.js";
import { requireFeature } from "./feature-gate.js";
import { parseJsonBody } from "./json-values.js";
import { logTarget } from "./log-target.js";
import { readJsonBody } from "./request-body.js";
import { bodySource, type RouteRequest, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

const ACTION = "Modifying logs through the `/logs/*` routes";
const DEFAULT_LEVEL: LogLevel = "info";
/** What a client that does not read may have waiting. Bytes; later lines are dropped until it reads. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

const readStream = object({
  target: { read: logTarget },
  mode: { read: oneOf(["human", "json", "profile"]) },
  profileMemory: { read: flag },
});
const readStderr = object({ target: { read: logTarget } });

/**
 * This proxy's own log, under Meilisearch's experimental routes: one client at a time may follow it.
 *
 * @returns ends the answer to the client that follows
 */
export function registerLogs(routes: RouteTable, { topology, config, logs }: RouteServices): () => void {
  const readBody = async (request: RouteRequest): Promise<unknown> =>
    parseJsonBody(await readJsonBody(bodySource(request), config.maxBodyBytes));
  let followed: LogStream | undefined;
  const end = (stream: LogStream): void => {
    if (followed !== stream) return;
    followed = undefined;
    logs.unfollow();
  };

  const stop = (): void => {
    const stream = followed;
    if (stream === undefined) return;
    end(stream);
    stream.push(null);
  };

  routes.on("POST", "/logs/stream", "metrics.get", async (request) => {
    const {
      target = DEFAULT_LEVEL,
      mode = "human",
      profileMemory = false,
    } = readStream(await readBody(request), "", "bad_request");
    if (profileMemory && mode !== "profile") throw onlyWhileProfiling(mode);
    requireFeature(topology, "logsRoute", ACTION);
    if (mode === "profile") {
      throw featureNotAvailable(
        "The mode `profile` of `/logs/stream`",
        "It traces Meilisearch's own functions, which run on the nodes; ask a node for it.",
      );
    }
    if (followed !== undefined) throw inUse();
    const stream = new LogStream(mode === "json" ? (line) => line : humanLine);
    followed = stream;
    logs.follow(target, (line) => stream.tell(line));
    request.signal.addEventListener("abort", () => end(stream), { once: true });
    stream.once("close", () => end(stream));
    return {
      status: 200,
      body: stream,
      contentType: "application/octet-stream",
      headers: { "x-accel-buffering": "no" },
    };
  });

  routes.on("DELETE", "/logs/stream", "metrics.get", async () => {
    requireFeature(topology, "logsRoute", ACTION);
    stop();
    return { status: 204 };
  });

  routes.on("POST", "/logs/stderr", "metrics.get", async (request) => {
    const { target = DEFAULT_LEVEL } = readStderr(await readBody(request), "", "bad_request");
    requireFeature(topology, "logsRoute", ACTION);
    logs.setLevel(target);
    return { status: 204 };
  });
  return stop;
}

/** Lines on their way to a client. */
class LogStream extends Readable {
  constructor(private readonly print: (line: string) => string) {
    super({ highWaterMark: MAX_WAITING_BYTES });
  }

  /** Sends a line, or drops it where the client is too far behind. */
  tell(line: string): void {
    if (this.readableLength < MAX_WAITING_BYTES && !this.readableEnded) this.push(this.print(line));
  }

  override _read(): void {
    // Lines come when they are logged.
  }
}

/** A line as people read it: time, level, what happened, and everything else that is known of it. */
function humanLine(line: string): string {
  const { time, level, msg, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const facts = Object.entries(rest).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const words = [msg, ...facts].filter((word) => word !== undefined).join(" ");
  return `${String(time)} ${String(level).toUpperCase().padStart(5)} miroir: ${words}\n`;
}

function onlyWhileProfiling(mode: "human" | "json") {
  const name = mode === "human" ? "Human" : "Json";
  return invalidValue(
    "",
    `\`profile_memory\` can only be used while profiling code and is not compatible with the ${name} mode.`,
    // Meilisearch's own code for it.
    "invalid_settings_typo_tolerance",
  );
}

function inUse() {
  return apiError(400, "bad_request", "The `/logs/stream` route is currently in use by someone else.");
}
