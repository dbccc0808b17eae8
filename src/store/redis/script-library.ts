import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A Lua script, ready to be sent. */
export interface Script {
  readonly name: string;
  readonly source: string;
  /** SHA-1 of the source, by which the server knows it. */
  readonly sha: string;
}

/** The scripts that come with the package. Works from the sources and from the build alike. */
const directory = fileURLToPath(new URL("../../../src/store/redis/scripts/", import.meta.url));
const preludeName = "prelude";

/** Reads every `NAME.lua`, with the prelude after its first line. Throws where one is missing its `#!lua` line. */
export function readScripts(): ReadonlyMap<string, Script> {
  const prelude = readFileSync(`${directory}${preludeName}.lua`, "utf8");
  const scripts = new Map<string, Script>();
  for (const file of readdirSync(directory).sort()) {
    const name = file.replace(/\.lua$/, "");
    if (name === file || name === preludeName) continue;
    const text = readFileSync(`${directory}${file}`, "utf8");
    const end = text.indexOf("\n");
    const first = text.slice(0, end);
    if (!first.startsWith("#!lua")) throw new Error(`${directory}${file} does not begin with #!lua.`);
    const source = `${first}\n${prelude}${text.slice(end + 1)}`;
    scripts.set(name, { name, source, sha: createHash("sha1").update(source).digest("hex") });
  }
  return scripts;
}
