import { Command } from "commander";
import { packageVersion } from "./options.js";

/** Some commands that are loaded together. */
interface CommandGroup {
  readonly names: readonly string[];
  readonly load: () => Promise<(program: Command) => void>;
}

/** In the order in which help lists them. */
const GROUPS: readonly CommandGroup[] = [
  { names: ["dev"], load: async () => (await import("./dev/dev.js")).addDevCommand },
  {
    names: ["control", "proxy", "healthcheck"],
    load: async () => (await import("./commands.js")).addServerCommands,
  },
  { names: ["ctl"], load: async () => (await import("./ctl/commands.js")).addCtlCommands },
  { names: ["store"], load: async () => (await import("./store/commands.js")).addStoreCommands },
  { names: ["restore"], load: async () => (await import("./restore/restore-command.js")).addRestoreCommand },
];

/**
 * The command line of `miroir`, every command with its options. A wrong command line throws a `CommanderError`.
 *
 * @param args what it is to parse; where they begin with a command, others than that one and its neighbours are not loaded, since that takes
 *   longer than many a command itself
 */
export async function createProgram(args: readonly string[] = []): Promise<Command> {
  const program = new Command("miroir")
    .description("A fleet of plain Meilisearch servers that answers as one Meilisearch.")
    .version(packageVersion())
    .showHelpAfterError("(--help lists the options)")
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .addHelpText(
      "after",
      `
Exit codes: 0 done; 1 failed; 2 wrong command line or configuration; 3 a server does not answer;
4 not found; 5 a key is missing or refused; 6 a comparison found differences; 7 impossible as things are.`,
    );
  const [called = ""] = args;
  const named = GROUPS.filter(({ names }) => names.includes(called));
  for (const { load } of named.length > 0 ? named : GROUPS) (await load())(program);
  inheritExitOverride(program);
  return program;
}

/** Commander asks for this on every command; it is not inherited by commands that were added before. */
function inheritExitOverride(command: Command): void {
  for (const child of command.commands) {
    child.exitOverride();
    inheritExitOverride(child);
  }
}
