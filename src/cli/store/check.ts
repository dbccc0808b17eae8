import type { Command } from "commander";
import { type CheckProgress, checkStore, describeFinding } from "../../store/inspect.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { addStoreFlags, requireCurrent, type StoreFlags, storeContext } from "./context.js";

/** Milliseconds between two lines of progress. */
const PROGRESS_MS = 1_000;

/** `miroir store check`: compares what the store holds with itself; only reads. */
export function addCheckCommand(parent: Command): void {
  addStoreFlags(
    parent
      .command("check")
      .description(
        "check the store's file, counts and indexes against its rows; only reads; 1 where something is wrong",
      ),
  ).action(async (flags: StoreFlags) => {
    const context = storeContext(flags);
    const { options, output, world } = context;
    const { leader, location } = await requireCurrent(context);
    if (leader?.live === true) {
      console.error(
        `note: ${leader.holder} leads and may write meanwhile; check again before you believe a fault`,
      );
    }
    let last = world.clock.monotonic();
    const onProgress = ({ done, part, total }: CheckProgress): void => {
      const now = world.clock.monotonic();
      if (now - last < PROGRESS_MS) return;
      last = now;
      console.error(`checking ${part}: ${done} of ${total}`);
    };
    const { examined, findings, truncated } = await checkStore(options, onProgress);
    output.result(
      { location, examined, truncated, findings: findings.map((finding) => ({ ...finding })) },
      () => {
        for (const finding of findings) output.line(describeFinding(finding));
        if (truncated) output.line("… and more");
        output.line(
          findings.length === 0
            ? `${location}: nothing wrong in ${examined} rows and entries`
            : `${location}: ${findings.length} faults in ${examined} rows and entries`,
        );
      },
    );
    if (findings.length > 0) {
      throw new CommandError(
        ExitCode.failure,
        `${location} is not consistent; see docs/guide/store.md for what to do`,
      );
    }
  });
}
