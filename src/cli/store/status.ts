import type { Command } from "commander";
import { inspectStore, type SchemaState, type StoreInspection } from "../../store/inspect.js";
import { transferTables } from "../../store/task-store.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { type Output, table } from "../output.js";
import { addStoreFlags, type StoreFlags, storeContext } from "./context.js";

/** `miroir store status`: what the store is and holds, without changing anything. */
export function addStatusCommand(parent: Command): void {
  addStoreFlags(
    parent
      .command("status")
      .description("show backend, schema version, size, rows and who leads; changes nothing"),
  ).action(async (flags: StoreFlags) => {
    const { options, output } = storeContext(flags);
    const found = await inspectStore(options);
    output.result(statusJson(found), () => print(found, output));
    if (found.schema.kind === "absent") {
      throw new CommandError(ExitCode.notFound, `there is no store at ${found.location}`);
    }
    if (found.schema.kind === "refused") throw new CommandError(ExitCode.failure, found.schema.reason);
  });
}

function statusJson(found: StoreInspection) {
  const { leader, rows, schema } = found;
  return {
    backend: found.backend,
    location: found.location,
    software: found.software ?? null,
    schema: schema.kind === "behind" ? { ...schema, pending: [...schema.pending] } : { ...schema },
    bytes: found.bytes ?? null,
    rows: rows === undefined ? null : { ...rows },
    leader:
      leader === undefined
        ? null
        : {
            holder: leader.holder,
            term: leader.term,
            expiresAt: new Date(leader.expiresAt).toISOString(),
            live: leader.live,
          },
    warnings: [...found.warnings],
  };
}

function print(found: StoreInspection, output: Output): void {
  output.line(`${found.software ?? found.backend} at ${found.location}`);
  output.line(`schema ${describeSchema(found.schema)}`);
  if (found.bytes !== undefined) {
    output.line(
      `${formatBytes(found.bytes)}${found.backend === "redis" ? " in use by the whole server" : ""}`,
    );
  }
  if (found.leader !== undefined) {
    const { expiresAt, holder, live, term } = found.leader;
    const until = new Date(expiresAt).toISOString();
    output.line(
      live
        ? `${holder} leads until ${until} (term ${term})`
        : `nobody leads; ${holder} did until ${until} (term ${term})`,
    );
  }
  for (const warning of found.warnings) output.line(`warning: ${warning}`);
  if (found.rows === undefined) return;
  output.line();
  const { rows } = found;
  output.line(
    table(
      ["TABLE", "ROWS"],
      transferTables.flatMap((name) => {
        const count = rows[name];
        return count === undefined ? [] : [[name, count]];
      }),
    ),
  );
}

/** A schema's state in words. */
export function describeSchema(schema: SchemaState): string {
  switch (schema.kind) {
    case "absent":
      return "none: there is no store yet";
    case "current":
      return `version ${schema.version}, up to date`;
    case "behind":
      return `version ${schema.version} of ${schema.known}; pending: ${schema.pending.join(", ")} (miroir store migrate)`;
    case "refused":
      return "unknown: this program must not open the store";
  }
}

function formatBytes(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  for (; value >= 1_024 && unit < units.length - 1; unit++) value /= 1_024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
