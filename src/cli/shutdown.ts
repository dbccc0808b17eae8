/** A command was told to stop before it had started. */
export class StoppedError extends Error {
  override readonly name = "StoppedError";
}

/**
 * The outcome of `work`, unless the process is told to stop before: a start can wait for a node or a lease for longer
 * than an operator waits.
 *
 * @throws StoppedError when told to stop; the work is then left to end with the process.
 */
export function untilStopped<T>(stop: Promise<NodeJS.Signals>, work: Promise<T>): Promise<T> {
  const stopped = stop.then((signal): never => {
    throw new StoppedError(`stopped by ${signal}`);
  });
  return Promise.race([work, stopped]);
}

/**
 * Resolves with the name of the first SIGTERM or SIGINT. A second one ends the process at once, for an operator who
 * will not wait for the drain.
 */
export function whenToldToStop(target: NodeJS.Process = process): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let told = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (told) target.exit(130);
      told = true;
      resolve(signal);
    };
    target.on("SIGTERM", onSignal);
    target.on("SIGINT", onSignal);
  });
}
