import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { CommandError, ExitCode } from "../../../src/cli/exit-codes.js";
import { type ConfigSources, loadConfig } from "../../../src/cli/load-config.js";

const folder = mkdtempSync(join(tmpdir(), "miroir-config-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;

function yaml(...lines: readonly string[]): string {
  const path = join(folder, `${files++}.yaml`);
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

function load(sources: Partial<ConfigSources>) {
  return loadConfig({ environment: {}, flags: {}, ...sources });
}

/** The lines of the refusal, with the file's folder taken out. */
function refusal(sources: Partial<ConfigSources>): string[] {
  try {
    load(sources);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    expect(error.exitCode).toBe(ExitCode.usage);
    return error.message
      .replaceAll(`${sources.file}`, "FILE")
      .split("\n")
      .map((line) => line.trim());
  }
  throw new Error("the configuration was accepted");
}

describe("where a setting comes from", () => {
  it("takes the schema's defaults where nothing is given", () => {
    const config = load({});
    expect(config).toMatchObject({
      http: "127.0.0.1:7700",
      grpc: "127.0.0.1:7800",
      data_dir: ".miroir/data",
      nodes: [],
      groups: 1,
      shards: 64,
      control: ["127.0.0.1:7800"],
      http_payload_size_limit: 100_000_000,
      log_level: "info",
    });
    expect(config.master_key).toBeUndefined();
    expect(config.replication_factor).toBeUndefined();
  });

  it("lets a flag win over the environment, the environment over the file, the file over a command's defaults", () => {
    const file = yaml("shards: 1", "groups: 1", "min_in_sync: 1", "data_dir: from-file");
    const config = load({
      defaults: { shards: 9, groups: 9, min_in_sync: 9, data_dir: "default", log_level: "warn" },
      file,
      environment: { MIROIR_SHARDS: "2", MIROIR_GROUPS: "2", MIROIR_MIN_IN_SYNC: "2" },
      flags: { shards: 3, groups: 3, min_in_sync: undefined },
    });
    expect(config).toMatchObject({
      shards: 3,
      groups: 3,
      min_in_sync: 2,
      data_dir: "from-file",
      log_level: "warn",
    });
  });

  it("replaces a whole list: nodes named by flag are all the nodes", () => {
    const file = yaml("nodes:", '  - { url: "http://a:7700" }', '  - { url: "http://b:7700" }');
    expect(load({ file }).nodes.map(({ url }) => url)).toEqual(["http://a:7700", "http://b:7700"]);
    expect(load({ file, flags: { nodes: [{ url: "http://c:7700/" }] } }).nodes).toEqual([
      { url: "http://c:7700" },
    ]);
  });

  it("reads every kind of value from the environment, and takes an empty variable for none", () => {
    const config = load({
      environment: {
        MIROIR_HTTP: "0.0.0.0:80",
        MIROIR_NODES: "http://a:7700, https://b:7700/",
        MIROIR_CONTROL: "c:1, d:2",
        MIROIR_REPLICATION_FACTOR: "3",
        MIROIR_LEASE_DURATION_MS: "5000",
        MIROIR_MASTER_KEY: "",
        MIROIR_TEST_NODE: "none of Miroir's settings",
      },
    });
    expect(config).toMatchObject({
      http: "0.0.0.0:80",
      nodes: [{ url: "http://a:7700" }, { url: "https://b:7700" }],
      control: ["c:1", "d:2"],
      replication_factor: 3,
      lease_duration_ms: 5_000,
    });
    expect(config.master_key).toBeUndefined();
  });

  it("takes an empty file, or one of comments alone, for a file without settings", () => {
    expect(load({ file: yaml("") })).toEqual(load({}));
    expect(load({ file: yaml("# nothing yet") })).toEqual(load({}));
  });
});

describe("what is wrong is named with its place", () => {
  it("names line and column in a file", () => {
    const file = yaml(
      "http: 0.0.0.0:7700",
      "nodes:",
      '  - { url: "http://a:7700" }',
      "  - { url: nonsense }",
    );
    expect(refusal({ file })).toEqual([
      "the configuration is not valid:",
      "FILE:4:7: nodes.1.url: expected a URL that begins with http:// or https://",
    ]);
  });

  it("names every fault, from whatever source", () => {
    const file = yaml("shards: 0", "groups: many");
    const lines = refusal({
      file,
      environment: { MIROIR_MIN_IN_SYNC: "some", MIROIR_CONTROL: "a:1,b" },
      flags: { admin_key: "short", http: "127.0.0.1" },
    });
    expect(lines.slice(1).sort()).toEqual([
      "--admin-key: admin_key: an admin key needs at least 16 bytes",
      "--http: http: expected HOST:PORT, for example 127.0.0.1:7700",
      expect.stringMatching(/^FILE:1:1: shards: /),
      expect.stringMatching(/^FILE:2:1: groups: /),
      "environment variable MIROIR_CONTROL: control.1: expected HOST:PORT, for example 127.0.0.1:7700",
      expect.stringMatching(/^environment variable MIROIR_MIN_IN_SYNC: min_in_sync: /),
    ]);
  });

  it("names a repeated flag as it is typed, with the value at fault", () => {
    const nodes = [{ url: "http://a:7700" }, { url: "ftp://b" }];
    expect(refusal({ flags: { nodes, control: ["a:1", "b"], data_dir: "" } })).toEqual([
      "the configuration is not valid:",
      expect.stringMatching(/^--data-dir: data_dir: /),
      "--node ftp://b: nodes.1.url: expected a URL that begins with http:// or https://",
      "--control b: control.1: expected HOST:PORT, for example 127.0.0.1:7700",
    ]);
  });

  it("names every unknown setting where it stands, at any depth", () => {
    const file = yaml(
      "shard: 3",
      "nodes:",
      '  - url: "http://a:7700"',
      "    keys: secret",
      "grpc_tls: { cert: c, key: k, password: p }",
      "nodez: []",
    );
    expect(refusal({ file }).slice(1).sort()).toEqual([
      "FILE:1:1: shard: there is no such setting",
      "FILE:4:5: nodes.0.keys: there is no such setting",
      "FILE:5:30: grpc_tls.password: there is no such setting",
      "FILE:6:1: nodez: there is no such setting",
    ]);
  });

  it("names a store's URL that is wrong, with the forms that there are and without its password", () => {
    const url = "redis://user:pa55word/@host";
    const [, line] = refusal({ environment: { MIROIR_STORE: url } });
    expect(line).toMatch(
      /^environment variable MIROIR_STORE: store: .*not valid.*%2F for \/.*sqlite:\/\/\/path/,
    );
    expect(line).not.toContain("pa55");
    expect(refusal({ flags: { store: "cache" } })[1]).toMatch(/^--store: store: /);
    expect(refusal({ file: yaml("shards: 3", "store: 7") })[1]).toMatch(/^FILE:2:1: store: /);
  });

  it("does not run several control processes on SQLite, and says what they need", () => {
    for (const store of [undefined, "sqlite:///var/lib/miroir.db"]) {
      const file = yaml("control_replicas: 2", ...(store === undefined ? [] : [`store: ${store}`]));
      expect(refusal({ file })).toEqual([
        "the configuration is not valid:",
        expect.stringMatching(/^FILE:1:1: control_replicas: .*set store to redis:/),
      ]);
    }
    const environment = { MIROIR_STORE: "redis://cache", MIROIR_CONTROL_REPLICAS: "3" };
    expect(load({ environment })).toMatchObject({ control_replicas: 3, store: { kind: "redis" } });
  });

  it("refuses certificates for a store that is not reached over TLS, and half of a pair", () => {
    const store_tls = { ca: "ca.pem" };
    expect(refusal({ flags: { store: "redis://cache", store_tls } })[1]).toContain("write rediss://");
    expect(load({ flags: { store: "rediss://cache", store_tls } }).store_tls).toEqual(store_tls);
    expect(refusal({ flags: { store: "rediss://cache", store_tls: { cert: "c" } } })[1]).toContain(
      "cert and key belong together",
    );
  });

  it("does not repeat a key that it refuses", () => {
    expect(refusal({ environment: { MIROIR_ADMIN_KEY: "pa55word" } }).join()).not.toContain("pa55word");
  });

  it("names line and column of a file that is no YAML", () => {
    expect(refusal({ file: yaml("http: 0.0.0.0:7700", "nodes: [ {") })[0]).toMatch(/^FILE:\d+:\d+: /);
    expect(refusal({ file: yaml("http: a:1", "shards: 3", "http: b:2") })[0]).toMatch(/^FILE:3:1: .*unique/);
    expect(refusal({ file: yaml("shards: 3", "\tgroups: 2") })[0]).toMatch(/^FILE:2:1: /);
  });

  it("refuses a file of anything but settings", () => {
    expect(refusal({ file: yaml("- http") })[0]).toBe(
      "FILE:1:1: expected a mapping of configuration members",
    );
    expect(refusal({ file: yaml("just text") })[0]).toMatch(/^FILE:1:1: /);
    const bomb = ["a: &a [x,x,x,x,x,x,x,x,x,x]"];
    for (let at = 0; at < 8; at++) {
      const [name, of] = [String.fromCharCode(98 + at), String.fromCharCode(97 + at)];
      bomb.push(`${name}: &${name} [${Array(10).fill(`*${of}`).join(",")}]`);
    }
    expect(refusal({ file: yaml(...bomb) })[0]).toMatch(/^FILE: /);
  });

  it("says which file cannot be read, and why", () => {
    const file = join(folder, "absent.yaml");
    const fault = (() => {
      try {
        return load({ file });
      } catch (error) {
        return error;
      }
    })();
    expect(fault).toMatchObject({
      exitCode: ExitCode.usage,
      message: `cannot read the configuration file ${file}`,
      cause: { code: "ENOENT" },
    });
  });
});
