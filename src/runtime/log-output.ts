/** How much is logged; each level shows what the ones before it show. */
export const logLevels = ["off", "fatal", "error", "warn", "info", "debug", "trace"] as const;

/** See {@link logLevels}. */
export type LogLevel = (typeof logLevels)[number];

/** One line of the log, as JSON with a line feed at its end. */
export type LogLine = string;

/** Where a process's log lines go. How much goes where can be changed while it runs. */
export class LogOutput {
  readonly #write: (line: LogLine) => void;
  #level: LogLevel;
  #follower: { readonly level: LogLevel; readonly take: (line: LogLine) => void } | undefined;

  /** `write` takes the lines of the process's usual log, up to `level`. */
  constructor(level: LogLevel, write: (line: LogLine) => void) {
    this.#level = level;
    this.#write = write;
  }

  /** Takes one line of that level. */
  log(level: LogLevel, line: LogLine): void {
    if (shows(this.#level, level)) this.#write(line);
    if (this.#follower !== undefined && shows(this.#follower.level, level)) this.#follower.take(line);
  }

  /** How much goes to the usual log from now on. */
  setLevel(level: LogLevel): void {
    this.#level = level;
  }

  /** Gives lines to `take` as well. False, without effect, where somebody follows already. */
  follow(level: LogLevel, take: (line: LogLine) => void): boolean {
    if (this.#follower !== undefined) return false;
    this.#follower = { level, take };
    return true;
  }

  /** Ends what {@link follow} began. */
  unfollow(): void {
    this.#follower = undefined;
  }
}

function shows(shown: LogLevel, level: LogLevel): boolean {
  return logLevels.indexOf(level) <= logLevels.indexOf(shown);
}
