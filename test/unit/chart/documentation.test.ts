import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { at, chartFolder, defaultValues, isMapping, type Mapping, readMapping } from "./chart-files.js";
import { eachOf, helmVersion } from "./render.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../../", import.meta.url));
const readme = readFileSync(join(chartFolder, "README.md"), "utf8");
const guide = readFileSync(join(root, "docs/guide/kubernetes.md"), "utf8");

if (helmVersion === undefined) console.warn("helm is not on the PATH: the guide's commands were not run");

/** Values that are shown whole in the table, because Kubernetes defines what is in them. */
const WHOLE = /(^|\.)(resources|podSecurityContext|securityContext)$/;

/** Every value by its path. */
function leaves(values: Mapping, path: readonly string[] = []): ReadonlyMap<string, unknown> {
  const found = new Map<string, unknown>();
  for (const [name, value] of Object.entries(values)) {
    const here = [...path, name];
    if (isMapping(value) && Object.keys(value).length > 0 && !WHOLE.test(here.join("."))) {
      for (const [inner, leaf] of leaves(value, here)) found.set(inner, leaf);
    } else {
      found.set(here.join("."), value);
    }
  }
  return found;
}

/** The table of the README: a default by the path of each value. */
function documented(): ReadonlyMap<string, unknown> {
  const found = new Map<string, unknown>();
  const table = readme.slice(readme.indexOf("## Values"));
  for (const [, names = "", fallback = ""] of table.matchAll(/^\| (`.*?`) \| `(.*?)` \| .+ \|$/gm)) {
    for (const [, name = ""] of names.matchAll(/`([^`]+)`/g)) {
      expect(found.has(name), `${name} stands twice`).toBe(false);
      found.set(name, parse(fallback));
    }
  }
  return found;
}

/** The commands of the guide's code blocks, each on one line. */
function commands(): readonly string[] {
  return [...guide.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block = ""]) =>
    block
      .replaceAll(/ \\\n\s*/g, " ")
      .split("\n")
      .filter((line) => line !== ""),
  );
}

describe("the chart's documents", () => {
  it("list every value with its default, and no other", () => {
    expect(Object.fromEntries(documented())).toEqual(Object.fromEntries(leaves(defaultValues())));
  });

  it("are of the version that the package has", () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    const chart = readMapping(join(chartFolder, "Chart.yaml"));
    expect(chart).toMatchObject({ version, appVersion: version });
    expect(guide).toContain(`miroir:${version}`);
  });

  it("say of the images and of Redis' memory what is so", () => {
    for (const component of ["meilisearch", "redis"]) {
      const image = at(defaultValues(), component, "image");
      expect(guide).toContain(`\`${String(at(image, "repository"))}:${String(at(image, "tag"))}\``);
    }
    const keyspace = readFileSync(join(root, "docs/reference/redis-keyspace.md"), "utf8");
    const [, bytes = ""] = /^\| `\{p\}:tasks:<uid>` \|.*\| ([\d,]+) \|$/m.exec(keyspace) ?? [];
    const check = readFileSync(join(chartFolder, "templates/_validate.tpl"), "utf8");
    expect(check).toContain(`(mul $tasks ${bytes.replace(",", "")})`);
    expect(guide).toContain(`A finished task takes ${bytes} bytes`);
  });

  it.skipIf(helmVersion === undefined)("have commands that work", async () => {
    const ofHelm = commands().filter((command) => /^helm (template|lint|install|upgrade) /.test(command));
    expect(ofHelm.length).toBeGreaterThan(6);
    await eachOf(ofHelm, async (command) => {
      // Rendering is what an installation does before it asks the cluster.
      const [, ...words] = command
        .replace(/ # refused$/, "")
        .replace(/^helm (install|upgrade) /, "helm template ")
        .split(" ");
      const refused = await run("helm", words, { cwd: root, maxBuffer: 64 * 1024 * 1024 }).then(
        () => false,
        () => true,
      );
      expect(refused, command).toBe(command.endsWith(" # refused"));
    });
  });
});
