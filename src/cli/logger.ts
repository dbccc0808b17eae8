import pino, { type DestinationStream, type Logger } from "pino";
import { type LogLevel, LogOutput } from "../runtime/log-output.js";
import type { Config } from "./config.js";

/** A process's logger, and where its lines go. */
export interface ProcessLog {
  readonly logger: Logger;
  readonly output: LogOutput;
}

/** A line of its own for each request would cost a write for each: some are gathered, for a moment that nobody notices. */
const BATCHES = { minLength: 4_096, periodicFlush: 100 };

/** JSON lines on standard error, so that standard output belongs to the command. */
export function createLogger(config: Config): ProcessLog {
  const stderr = pino.destination({ dest: 2, sync: false, ...BATCHES });
  const output = new LogOutput(
    config.log_level === "silent" ? "off" : config.log_level,
    (line) => {
      stderr.write(line);
    },
    (needed) => {
      logger.level = pinoLevel(needed);
    },
  );
  const logger = pino(
    {
      level: pinoLevel(output.needed),
      base: null,
      timestamp: createTimestamps(),
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: ["key", "masterKey", "adminKey", "*.key", "authorization", "headers.authorization"],
        censor: "[redacted]",
      },
    },
    destinationOf(output),
  );
  return { logger, output };
}

/** The time as pino's own `isoTime` writes it; lines of the same millisecond share one text. */
function createTimestamps(): () => string {
  let writtenAt = Number.NaN;
  let written = "";
  return () => {
    const now = Date.now();
    if (now !== writtenAt) {
      writtenAt = now;
      written = `,"time":"${new Date(now).toISOString()}"`;
    }
    return written;
  };
}

function pinoLevel(level: LogLevel): string {
  return level === "off" ? "silent" : level;
}

/** pino tells a stream with this member the level of each line before it writes it. */
const WANTS_LEVEL = Symbol.for("pino.metadata");

function destinationOf(output: LogOutput): DestinationStream {
  return {
    [WANTS_LEVEL]: true,
    lastLevel: 0,
    write(line: string) {
      output.log(pino.levels.labels[this.lastLevel] as LogLevel, line);
    },
  } as DestinationStream & { readonly lastLevel: number };
}
