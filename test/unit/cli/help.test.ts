import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { configSchema } from "../../../src/cli/config.js";
import { createProgram } from "../../../src/cli/program.js";

interface Row {
  readonly setting: string;
  readonly variable: string | undefined;
  readonly flag: string | undefined;
  readonly fallback: string;
}

/** The table of settings, of five columns, in docs/reference/configuration.md. */
const documented: readonly Row[] = readFileSync(
  new URL("../../../docs/reference/configuration.md", import.meta.url),
  "utf8",
)
  .split("\n")
  .filter((line) => line.startsWith("| `") && line.split("|").length === 7)
  .map((line) => {
    const cells = line.split("|").map((cell) => cell.trim());
    const code = (cell: string | undefined) => /`([^`]+)`/.exec(cell ?? "")?.[1];
    return {
      setting: code(cells[1]) ?? "",
      variable: code(cells[2]),
      flag: code(cells[3]),
      fallback: cells[4] ?? "",
    };
  });

function commands(parent: Command, path = ""): [string, Command][] {
  return parent.commands.flatMap((child): [string, Command][] => {
    const name = `${path}${child.name()}`;
    return child.commands.length > 0 ? commands(child, `${name} `) : [[name, child]];
  });
}

const all = commands(await createProgram());
const command = (name: string): Command => {
  const found = all.find(([path]) => path === name)?.[1];
  if (found === undefined) throw new Error(`there is no command ${name}`);
  return found;
};
const flags = (name: string): string[] => command(name).options.map((option) => option.long ?? "");

describe("the command line", () => {
  it("has these commands", () => {
    expect(all.map(([path]) => path).sort()).toEqual([
      "control",
      "ctl compare",
      "ctl control list",
      "ctl elect",
      "ctl explain",
      "ctl group add",
      "ctl group remove",
      "ctl index list",
      "ctl index show",
      "ctl node add",
      "ctl node drain",
      "ctl node remove",
      "ctl node replace",
      "ctl rebalance",
      "ctl repair",
      "ctl replication set",
      "ctl reshard",
      "ctl status",
      "ctl task list",
      "ctl task show",
      "ctl topology show",
      "ctl verify",
      "ctl workflow cancel",
      "ctl workflow list",
      "ctl workflow show",
      "ctl workflow watch",
      "dev",
      "healthcheck",
      "proxy",
      "restore",
      "store check",
      "store export",
      "store import",
      "store migrate",
      "store status",
    ]);
  });

  it.each(all)("%s --help says what the command and each of its options and arguments do", (_, shown) => {
    const help = shown.helpInformation();
    expect(shown.description()).not.toBe("");
    for (const option of shown.options) {
      expect(help).toContain(option.flags);
      expect(option.description, option.flags).not.toBe("");
    }
    for (const argument of shown.registeredArguments) expect(help).toContain(argument.name());
  });

  it.each(all.filter(([path]) => path.startsWith("store ")))(
    "%s takes --store, --config, --data-dir, --json",
    (path) => {
      expect(flags(path)).toEqual(expect.arrayContaining(["--store", "--config", "--data-dir", "--json"]));
    },
  );

  it.each(all.filter(([path]) => path.startsWith("ctl ")))(
    "%s takes --server, --admin-key, --json",
    (path) => {
      expect(flags(path)).toEqual(expect.arrayContaining(["--server", "--admin-key", "--json"]));
    },
  );
});

describe("the configuration reference", () => {
  it("lists every setting, and no other", () => {
    expect(documented.map(({ setting }) => setting).sort()).toEqual(Object.keys(configSchema.shape).sort());
  });

  it("lists every flag of the servers, and no other", () => {
    const own = ["--config", "--sample", "--no-sample", "--check"];
    const given = new Set(["dev", "control", "proxy"].flatMap(flags).filter((flag) => !own.includes(flag)));
    expect(documented.flatMap(({ flag }) => flag ?? []).sort()).toEqual([...given].sort());
  });

  it("names the environment variables and flags by their settings", () => {
    for (const { setting, variable, flag } of documented) {
      if (variable !== undefined) expect(variable).toBe(`MIROIR_${setting.toUpperCase()}`);
      if (flag !== undefined && setting !== "nodes") expect(flag).toBe(`--${setting.replaceAll("_", "-")}`);
    }
  });

  it("states the defaults that hold", () => {
    const defaults: Record<string, unknown> = configSchema.parse({});
    for (const { setting, fallback } of documented) {
      const value = defaults[setting];
      if (value === undefined || setting === "min_in_sync" || setting === "nodes") continue;
      const text = Array.isArray(value) ? value.join(", ") || "none" : String(value);
      expect(fallback.replaceAll("`", "").split(" ")[0], setting).toBe(text);
    }
  });

  it("has the same defaults as the help", () => {
    for (const name of ["dev", "control", "proxy"]) {
      for (const option of command(name).options) {
        const stated = /\(default: (\S+)\)$/.exec(option.description)?.[1];
        const row = documented.find(({ flag }) => flag === option.long);
        if (stated !== undefined && row !== undefined) {
          expect(row.fallback.replaceAll("`", ""), `${name} ${option.long}`).toContain(stated);
        }
      }
    }
  });
});
