/** Shows how far long work has come: a bar on a terminal, a line every tenth elsewhere. */
export interface Progress {
  /** Says that `done` of the total is done. */
  update(done: number): void;
  /** Ends the display with the time taken. */
  finish(): void;
}

/** Where and how progress is shown. */
export interface ProgressOptions {
  readonly label: string;
  readonly total: number;
  /** Milliseconds, monotonic. */
  now(): number;
  readonly stream: { write(text: string): unknown; readonly isTTY?: boolean };
}

const BAR_WIDTH = 30;

/** A bar of which `share`, 0 to 1, is full. */
export function progressBar(share: number): string {
  const filled = Math.round(share * BAR_WIDTH);
  return `[${"█".repeat(filled)}${"·".repeat(BAR_WIDTH - filled)}]`;
}

/** Starts a progress display. */
export function startProgress(options: ProgressOptions): Progress {
  const started = options.now();
  let lastTenth = -1;
  const terminal = options.stream.isTTY === true;
  return {
    update: (done) => {
      const share = options.total === 0 ? 1 : Math.min(1, done / options.total);
      const elapsed = (options.now() - started) / 1_000;
      const eta = share > 0 && share < 1 ? `  ${Math.ceil((elapsed / share) * (1 - share))} s left` : "";
      const percent = `${Math.floor(share * 100)}`.padStart(3);
      if (terminal) {
        options.stream.write(
          `\r\u001b[K${options.label} ${progressBar(share)} ${percent} %  ${done}/${options.total}${eta}`,
        );
        return;
      }
      const tenth = Math.floor(share * 10);
      if (tenth === lastTenth) return;
      lastTenth = tenth;
      options.stream.write(`${options.label} ${percent} %  ${done}/${options.total}${eta}\n`);
    },
    finish: () => {
      const seconds = ((options.now() - started) / 1_000).toFixed(1);
      options.stream.write(
        `${terminal ? "\r\u001b[K" : ""}${options.label}: ${options.total} in ${seconds} s\n`,
      );
    },
  };
}
