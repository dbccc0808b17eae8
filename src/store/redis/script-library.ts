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

/**
 * Reads every `NAME.lua`, with the prelude after its first line, and behind that `prelude-FAMILY.lua` where there is one
 * for the part of the name before its first `-`. Throws where a script is missing its `#!lua` line.
 */
export function readScripts(): ReadonlyMap<string, Script> {
  const texts = new Map<string, string>();
  for (const file of readdirSync(directory).sort()) {
    if (file.endsWith(".lua")) texts.set(file.slice(0, -4), readFileSync(`${directory}${file}`, "utf8"));
  }
  const scripts = new Map<string, Script>();
  for (const [name, text] of texts) {
    const [family = name] = name.split("-");
    if (family === preludeName) continue;
    const prelude = `${texts.get(preludeName) ?? ""}${texts.get(`${preludeName}-${family}`) ?? ""}`;
    const end = text.indexOf("\n");
    const first = text.slice(0, end);
    if (!first.startsWith("#!lua")) throw new Error(`${directory}${name}.lua does not begin with #!lua.`);
    const source = `${first}\n${prelude}${text.slice(end + 1)}`;
    scripts.set(name, { name, source, sha: createHash("sha1").update(source).digest("hex") });
  }
  return scripts;
}
