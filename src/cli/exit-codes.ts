/** What the exit codes of every `miroir` command mean. */
export const ExitCode = {
  ok: 0,
  /** The command ran and failed. */
  failure: 1,
  /** The command line or the configuration is wrong; nothing was started. */
  usage: 2,
  /** A server that the command needs does not answer. */
  unreachable: 3,
  /** What was asked for does not exist. */
  notFound: 4,
  /** A key is missing or refused. */
  refused: 5,
  /** A comparison found differences. */
  different: 6,
  /** What was asked for cannot be done as things are; nothing was changed. */
  impossible: 7,
} as const;

/** One of {@link ExitCode}. */
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Ends a command with a message for the operator and an exit code; shown without a stack. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}
