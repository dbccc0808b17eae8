import pino, { type Logger } from "pino";
import type { Config } from "./config.js";

/** JSON lines on standard error, so that standard output belongs to the command. */
export function createLogger(config: Config): Logger {
  return pino(
    {
      level: config.log_level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: ["key", "masterKey", "adminKey", "*.key", "authorization", "headers.authorization"],
        censor: "[redacted]",
      },
    },
    pino.destination({ dest: 2, sync: false }),
  );
}
