import { createWriteStream } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import {
  ExportFaultError,
  type ExportFooter,
  readExport,
  recordsOf,
  totalRows,
} from "../../store/export-file.js";
import { inspectStore } from "../../store/inspect.js";
import { openTaskStore } from "../../store/open-task-store.js";
import { ConflictError } from "../../store/task-store.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { startProgress } from "../progress.js";
import { addStoreFlags, type StoreContext, type StoreFlags, storeContext } from "./context.js";

/** Rows between two updates of the progress. */
const STEP = 500;

/** `miroir store import FILE`: an export into an empty store. */
export function addImportCommand(parent: Command): void {
  addStoreFlags(
    parent
      .command("import")
      .description(
        "write an export into an empty store; a damaged or cut file is noticed before anything is written",
      )
      .argument("<file>", "a file of miroir store export, or - for standard input"),
  ).action(async (file: string, flags: StoreFlags) => {
    const context = storeContext(flags);
    if (file !== "-") {
      await importFile(file, file, context);
      return;
    }
    // The whole of it is read before anything is written, so it must be kept meanwhile.
    const folder = await mkdtemp(join(tmpdir(), "miroir-import-"));
    try {
      const spooled = join(folder, "stdin.jsonl");
      await pipeline(process.stdin, createWriteStream(spooled, { mode: 0o600 }));
      await importFile(spooled, "standard input", context);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
}

async function importFile(path: string, name: string, context: StoreContext): Promise<void> {
  const { options, output, world } = context;
  await stat(path).catch((error: unknown) => {
    throw new CommandError(ExitCode.notFound, `cannot read ${name}`, { cause: error });
  });
  const footer = await verify(path, name, context);
  const target = await inspectStore(options);
  if (target.schema.kind === "refused") throw new CommandError(ExitCode.failure, target.schema.reason);
  const total = totalRows(footer.rows);
  const progress = startProgress({
    label: "importing",
    total,
    now: () => world.clock.monotonic(),
    stream: process.stderr,
  });
  const store = await openTaskStore(options);
  try {
    await store.transfer.import(recordsOf(path), (rows) => progress.update(rows));
    progress.update(total);
    progress.finish();
    const rows = await store.transfer.count();
    output.result({ from: name, to: target.location, rows: { ...rows } }, () => {
      const gone = total - totalRows(rows);
      output.line(
        `${target.location}: ${total} rows imported${gone > 0 ? `; ${gone} of them have ended meanwhile` : ""}`,
      );
    });
  } catch (error) {
    if (error instanceof ConflictError)
      throw new CommandError(ExitCode.failure, error.message, { cause: error });
    throw error;
  } finally {
    await store.close();
  }
}

/** Reads the whole export once; the target is not touched before it is known to be whole. */
async function verify(path: string, name: string, { world }: StoreContext): Promise<ExportFooter> {
  let progress: ReturnType<typeof startProgress> | undefined;
  let rows = 0;
  try {
    for await (const part of readExport(path)) {
      if (part.kind === "footer") {
        progress?.finish();
        return part.footer;
      }
      if (part.kind === "header") {
        progress = startProgress({
          label: "reading",
          total: totalRows(part.header.rows),
          now: () => world.clock.monotonic(),
          stream: process.stderr,
        });
      } else if (++rows % STEP === 0) {
        progress?.update(rows);
      }
    }
  } catch (error) {
    if (!(error instanceof ExportFaultError)) throw error;
    throw new CommandError(ExitCode.failure, `${name}: ${error.message}. Nothing was imported.`, {
      cause: error,
    });
  }
  throw new Error(`${name}: the reader ended without the last line`);
}
