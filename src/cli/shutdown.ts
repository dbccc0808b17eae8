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
