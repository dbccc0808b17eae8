import { CommanderError } from "commander";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CommandError, ExitCode } from "../../../src/cli/exit-codes.js";
import { createProgram } from "../../../src/cli/program.js";

beforeEach(() => {
  for (const name of Object.keys(process.env)) if (name.startsWith("MIROIR_")) vi.stubEnv(name, undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

/** What refuses a command line, before anything is started or called. */
async function refusal(...args: string[]): Promise<{ by: "parser" | "command"; message: string }> {
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    const program = await createProgram(args);
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) {
      expect(error.exitCode).not.toBe(0);
      return { by: "parser", message: error.message };
    }
    if (!(error instanceof CommandError)) throw error;
    expect(error.exitCode).toBe(ExitCode.usage);
    return { by: "command", message: error.message };
  }
  throw new Error("the command line was accepted");
}

describe("a wrong command line", () => {
  it.each([
    [["ctl", "index", "shwo", "films"], "unknown command 'shwo'"],
    [["ctl", "index", "show"], "missing required argument 'index'"],
    [["ctl", "task", "show", "seven"], "expected a task uid"],
    [["ctl", "task", "list", "--status", "lost"], "expected one of enqueued"],
    [["ctl", "task", "list", "--limit", "0"], "expected a number from 1 to 1000"],
    [["dev", "--shards", "many"], "expected a whole number"],
    [["proxy", "--node", "http://a:7700"], "unknown option '--node'"],
    [["control", "--http", "a:1"], "unknown option '--http'"],
    [["dev", "all"], "too many arguments"],
  ])("%j is refused by the parser", async (args, message) => {
    const refused = await refusal(...args);
    expect(refused.by).toBe("parser");
    expect(refused.message).toContain(message);
  });

  it.each([
    [["ctl", "status", "--server", "not a server"], "--server not a server: expected HOST:PORT or a URL"],
    [["healthcheck", "--http", "nonsense"], "--http: http: expected HOST:PORT"],
    [["dev", "--node", "ftp://a"], "--node ftp://a: nodes.0.url: expected a URL"],
    [["proxy", "--control", "a"], "--control a: control.0: expected HOST:PORT"],
    [["control", "--log-level", "loud"], "--log-level: log_level: "],
    [["control"], "no nodes are configured; name each with --node URL"],
    [["control", "--config", "no-such-file.yaml"], "cannot read the configuration file no-such-file.yaml"],
  ])("%j is refused with its place", async (args, message) => {
    const refused = await refusal(...args);
    expect(refused.by).toBe("command");
    expect(refused.message).toContain(message);
  });

  it("names a variable at fault", async () => {
    vi.stubEnv("MIROIR_SHARDS", "0");
    const { message } = await refusal("dev");
    expect(message).toContain("environment variable MIROIR_SHARDS: shards: ");
  });
});
