import { open, rename, rm } from "node:fs/promises";
import type { Command } from "commander";
import { type ExportFooter, totalRows, writeExport } from "../../store/export-file.js";
import { openTaskStore } from "../../store/open-task-store.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { type Progress, startProgress } from "../progress.js";
import { addStoreFlags, requireCurrent, type StoreFlags, storeContext } from "./context.js";

/** Rows between two updates of the progress. */
const STEP = 500;

/** `miroir store export FILE`: the whole store as JSON lines. */
export function addExportCommand(parent: Command): void {
  addStoreFlags(
    parent
      .command("export")
      .description("write every row of the store as JSON lines, for miroir store import")
      .argument("<file>", "a file that does not exist yet, or - for standard output")
      .option("--force", "export although a control plane leads: what it writes later is not in the file"),
  ).action(async (file: string, flags: StoreFlags & { readonly force?: boolean }) => {
    const context = storeContext(flags);
    const { options, output, world } = context;
    const { backend, leader, location, schema } = await requireCurrent(context);
    if (leader?.live === true && flags.force !== true) {
      throw new CommandError(
        ExitCode.failure,
        `${leader.holder} leads on ${location}; stop every control process first, or say --force (on Redis the rows are then of different moments)`,
      );
    }
    const store = await openTaskStore(options);
    try {
      const rows = await store.transfer.count();
      const progress = startProgress({
        label: "exporting",
        total: totalRows(rows),
        now: () => world.clock.monotonic(),
        stream: process.stderr,
      });
      let footer: ExportFooter | undefined;
      const createdAt = new Date(world.clock.now()).toISOString();
      const text = writeExport(
        { createdAt, backend, schemaVersion: schema.version, rows: { ...rows } },
        store.transfer.export(),
        {
          onRow: (count) => count % STEP === 0 && progress.update(count),
          onEnd: (end) => {
            footer = end;
          },
        },
      );
      await (file === "-" ? writeToStdout(text) : writeToFile(file, text));
      report(progress, footer);
      if (file === "-") return;
      const summary = { file, from: location, rows: { ...footer?.rows }, sha256: footer?.sha256 ?? "" };
      output.result(summary, () =>
        output.line(
          `${location}: ${totalRows(summary.rows)} rows in ${file} (SHA-256 of the rows ${summary.sha256})`,
        ),
      );
    } finally {
      await store.close();
    }
  });
}

function report(progress: Progress, footer: ExportFooter | undefined): void {
  progress.update(totalRows(footer?.rows ?? {}));
  progress.finish();
}

/** Each chunk is waited for, so that nothing is lost when the process ends, and a slow reader slows the export. */
async function writeToStdout(text: AsyncIterable<string>): Promise<void> {
  for await (const chunk of text) {
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(chunk, (error) => (error ? reject(error) : resolve()));
    });
  }
}

/**
 * Writes beside the name first, readable by its owner only, and takes the name when everything is on the disk: what
 * has the name is whole.
 */
async function writeToFile(file: string, text: AsyncIterable<string>): Promise<void> {
  const partial = `${file}.partial`;
  await refuseExisting(file);
  const handle = await open(partial, "w", 0o600).catch((error: unknown) => {
    throw new CommandError(ExitCode.usage, `cannot write ${partial}`, { cause: error });
  });
  try {
    try {
      for await (const chunk of text) await handle.writeFile(chunk);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function refuseExisting(file: string): Promise<void> {
  const existing = await open(file, "r").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new CommandError(ExitCode.usage, `cannot write ${file}`, { cause: error });
  });
  if (existing === undefined) return;
  await existing.close();
  throw new CommandError(ExitCode.usage, `${file} is there already; name a file that is not`);
}
