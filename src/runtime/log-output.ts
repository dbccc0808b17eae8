/** How much is logged; each level shows what the ones before it show. */
export const logLevels = ["off", "fatal", "error", "warn", "info", "debug", "trace"] as const;

/** See {@link logLevels}. */
export type LogLevel = (typeof logLevels)[number];

/** One line of the log, as JSON with a line feed at its end. */
export type LogLine = string;

/** Where a process's log lines go. How much goes where can be changed while it runs. */
export class LogOutput {
  readonly #write: (line: LogLine) => void;
  readonly #onNeeded: (level: LogLevel) => void;
  #level: LogLevel;
  #follower: { readonly level: LogLevel; readonly take: (line: LogLine) => void } | undefined;

  /**
   * @param write takes the lines of the process's usual log, up to `level`
   * @param onNeeded is told of the level beyond which no line goes anywhere, whenever it changes
   */
  constructor(
    level: LogLevel,
    write: (line: LogLine) => void,
    onNeeded: (level: LogLevel) => void = () => undefined,
  ) {
    this.#level = level;
    this.#write = write;
    this.#onNeeded = onNeeded;
  }

  /** The level beyond which no line goes anywhere. */
  get needed(): LogLevel {
    const followed = this.#follower?.level ?? "off";
    return shows(this.#level, followed) ? this.#level : followed;
  }

  /** Takes one line of that level. */
  log(level: LogLevel, line: LogLine): void {
    if (shows(this.#level, level)) this.#write(line);
    if (this.#follower !== undefined && shows(this.#follower.level, level)) this.#follower.take(line);
  }

  /** How much goes to the usual log from now on. */
  setLevel(level: LogLevel): void {
    this.#level = level;
    this.#onNeeded(this.needed);
  }

  /** Gives lines to `take` as well. False, without effect, where somebody follows already. */
  follow(level: LogLevel, take: (line: LogLine) => void): boolean {
    if (this.#follower !== undefined) return false;
    this.#follower = { level, take };
    this.#onNeeded(this.needed);
    return true;
  }

  /** Ends what {@link follow} began. */
  unfollow(): void {
    this.#follower = undefined;
    this.#onNeeded(this.needed);
  }
}

function shows(shown: LogLevel, level: LogLevel): boolean {
  return logLevels.indexOf(level) <= logLevels.indexOf(shown);
}
