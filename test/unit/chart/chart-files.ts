import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";

/** Folder of the chart. */
export const chartFolder = fileURLToPath(new URL("../../../charts/miroir/", import.meta.url));
const valuesFolder = fileURLToPath(new URL("./values/", import.meta.url));

/** Values, or a JSON schema: whatever a YAML or JSON file holds as a mapping. */
export type Mapping = Readonly<Record<string, unknown>>;

/** A file of values that lie over the chart's own. */
export interface ValuesFile {
  /** Its name without the ending. */
  readonly name: string;
  readonly path: string;
  readonly values: Mapping;
}

/** A file that is to be refused. */
export interface FailingFile extends ValuesFile {
  /** The schema's rule that refuses it; `shape` for the rest of the schema, `template` for what the templates check. */
  readonly rule: string;
  /** What the refusal has to say. */
  readonly expected: string;
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Parses a YAML file of the chart that holds a mapping. */
export function readMapping(path: string): Mapping {
  const value: unknown = parse(readFileSync(path, "utf8"));
  if (!isMapping(value)) throw new Error(`${path} is no mapping`);
  return value;
}

/** The chart's own values. */
export function defaultValues(): Mapping {
  return readMapping(join(chartFolder, "values.yaml"));
}

/** The chart's schema of values. */
export function valuesSchema(): Mapping {
  return readMapping(join(chartFolder, "values.schema.json"));
}

/** Files that have to be accepted: the suite's and the chart's examples. */
export function passingFiles(): readonly ValuesFile[] {
  return [...valuesFiles(join(valuesFolder, "passing")), ...valuesFiles(join(chartFolder, "examples"))];
}

/** Files that have to be refused; each says in its first line by which rule and with which words. */
export function failingFiles(): readonly FailingFile[] {
  return valuesFiles(join(valuesFolder, "failing")).map((file) => {
    const [line = ""] = readFileSync(file.path, "utf8").split("\n", 1);
    const { rule, expected } = /^# rule: (?<rule>\S+); expected: (?<expected>.+)$/.exec(line)?.groups ?? {};
    if (rule === undefined || expected === undefined) {
      throw new Error(`${file.path} does not begin with "# rule: …; expected: …"`);
    }
    return { ...file, rule, expected };
  });
}

function valuesFiles(folder: string): readonly ValuesFile[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".yaml"))
    .sort()
    .map((name) => {
      const path = join(folder, name);
      return { name: basename(name, ".yaml"), path, values: readMapping(path) };
    });
}

/** Lays values over others as Helm does: mappings are merged, null removes, everything else replaces. */
export function mergeValues(under: Mapping, over: Mapping): Mapping {
  const merged: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    if (value === null) delete merged[key];
    else merged[key] = isMapping(value) && isMapping(below) ? mergeValues(below, value) : value;
  }
  return merged;
}

/** The member at a path of names. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  let found = value;
  for (const name of path) {
    if (Array.isArray(found) && typeof name === "number") found = found[name];
    else if (isMapping(found)) found = found[name];
    else return undefined;
  }
  return found;
}

/** The mappings of a list; none where it is absent. */
export function mappings(value: unknown): readonly Mapping[] {
  return Array.isArray(value) ? value.filter(isMapping) : [];
}

/** The texts of a list or of a mapping's values; none where it is absent. */
export function texts(value: unknown): readonly string[] {
  const values: readonly unknown[] = Array.isArray(value)
    ? value
    : isMapping(value)
      ? Object.values(value)
      : [];
  return values.filter((each) => typeof each === "string");
}
