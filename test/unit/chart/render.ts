import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { parseAllDocuments } from "yaml";
import type { Config } from "../../../src/cli/config.js";
import { loadConfig } from "../../../src/cli/load-config.js";
import { at, chartFolder, isMapping, type Mapping, mappings, texts } from "./chart-files.js";

const run = promisify(execFile);

/** The helm on the PATH; undefined where there is none. */
export const helmVersion: string | undefined = (() => {
  const { status, stdout } = spawnSync("helm", ["version", "--short"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
})();

export const release = "rel";
export const namespace = "search";

/** What helm answered. */
export interface HelmAnswer {
  readonly ok: boolean;
  /** What it printed on both streams; paths of values as `a.b` whichever way this release of helm writes them. */
  readonly text: string;
  readonly output: string;
}

/** Runs helm on the chart. */
export async function helm(command: readonly string[], ...more: readonly string[]): Promise<HelmAnswer> {
  const options = { maxBuffer: 64 * 1024 * 1024 };
  try {
    const { stdout, stderr } = await run("helm", [...command, chartFolder, ...more], options);
    return { ok: true, text: stdout + stderr, output: stdout };
  } catch (error) {
    if (!isMapping(error)) throw error;
    const text = `${String(error.stdout)}${String(error.stderr)}`;
    const dotted = text.replaceAll(/at '\/([^']*)'/g, (_, path: string) => path.replaceAll("/", "."));
    return { ok: false, text: dotted, output: "" };
  }
}

/** The objects that the chart makes of values; throws what helm says against them. */
export async function render(...more: readonly string[]): Promise<Rendered> {
  const { ok, text, output } = await helm(["template", release, "--namespace", namespace], ...more);
  if (!ok) throw new Error(text);
  const objects = parseAllDocuments(output).map((document): unknown => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    return document.toJS();
  });
  return new Rendered(objects.filter(isMapping));
}

/** Everything that one installation consists of. */
export class Rendered {
  constructor(readonly objects: readonly Mapping[]) {}

  ofKind(...kinds: readonly string[]): readonly Mapping[] {
    return this.objects.filter(({ kind }) => typeof kind === "string" && kinds.includes(kind));
  }

  /** The object of a kind and name; throws where there is none. */
  object(kind: string, name: string): Mapping {
    const found = this.ofKind(kind).find((object) => nameOf(object) === name);
    if (found === undefined)
      throw new Error(`no ${kind} ${name} in ${this.objects.map(describeObject).join(", ")}`);
    return found;
  }

  has(kind: string, name: string): boolean {
    return this.ofKind(kind).some((object) => nameOf(object) === name);
  }

  /** Deployments and StatefulSets. */
  workloads(): readonly Mapping[] {
    return this.ofKind("Deployment", "StatefulSet");
  }

  /** The workload of a component (`control`, `proxy`, `meilisearch`, `redis`); throws unless there is exactly one. */
  workload(component: string): Mapping {
    const [found, ...others] = this.workloads().filter(
      (object) => at(object, "metadata", "labels", "app.kubernetes.io/component") === component,
    );
    if (found === undefined || others.length > 0) throw new Error(`not one workload of ${component}`);
    return found;
  }

  hasComponent(component: string): boolean {
    return this.workloads().some(
      (object) => at(object, "metadata", "labels", "app.kubernetes.io/component") === component,
    );
  }

  /** The workloads whose pods a selector selects. */
  selected(selector: unknown): readonly Mapping[] {
    return this.workloads().filter((object) => selects(selector, podLabels(object)));
  }
}

export function nameOf(object: Mapping): string {
  return String(at(object, "metadata", "name"));
}

export function describeObject(object: Mapping): string {
  return `${String(object.kind)}/${nameOf(object)}`;
}

export function podLabels(workload: Mapping): Mapping {
  const labels = at(workload, "spec", "template", "metadata", "labels");
  return isMapping(labels) ? labels : {};
}

/** The pod that a workload makes. */
export function podSpec(workload: Mapping): Mapping {
  const spec = at(workload, "spec", "template", "spec");
  if (!isMapping(spec)) throw new Error(`${describeObject(workload)} has no pod`);
  return spec;
}

/** The workload's one container. */
export function container(workload: Mapping): Mapping {
  const [only, ...others] = mappings(podSpec(workload).containers);
  if (only === undefined || others.length > 0)
    throw new Error(`${describeObject(workload)} has not one container`);
  return only;
}

function selects(selector: unknown, labels: Mapping): boolean {
  return (
    isMapping(selector) &&
    Object.keys(selector).length > 0 &&
    Object.entries(selector).every(([name, value]) => labels[name] === value)
  );
}

/** What stands in a Secret that the chart does not make. */
export function valueOfExisting(secret: string, key: string): string {
  return `existing-${secret}-${key}`;
}

/** A Secret's members in plain text. */
export function secretData(secret: Mapping): Readonly<Record<string, string>> {
  const data = isMapping(secret.data) ? secret.data : {};
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(String(value), "base64").toString("utf8")]),
  );
}

/** The environment of the container of a workload's first pod as Kubernetes would set it; Secrets that the chart does not make hold {@link valueOfExisting}. */
export function environmentOf(rendered: Rendered, workload: Mapping): Readonly<Record<string, string>> {
  const environment: Record<string, string> = {};
  for (const entry of mappings(container(workload).env)) {
    environment[String(entry.name)] = resolve(rendered, entry, environment, `${nameOf(workload)}-0`);
  }
  return environment;
}

function resolve(
  rendered: Rendered,
  entry: Mapping,
  before: Readonly<Record<string, string>>,
  podName: string,
): string {
  if (typeof entry.value === "string") {
    return entry.value.replaceAll(/\$\((\w+)\)/g, (whole, name: string) => before[name] ?? whole);
  }
  const reference = at(entry, "valueFrom", "secretKeyRef");
  if (at(entry, "valueFrom", "fieldRef", "fieldPath") === "metadata.name") return podName;
  if (!isMapping(reference)) return "10.1.2.3";
  const { name, key } = { name: String(reference.name), key: String(reference.key) };
  if (!rendered.has("Secret", name)) return valueOfExisting(name, key);
  const value = secretData(rendered.object("Secret", name))[key];
  if (value === undefined) throw new Error(`Secret ${name} has no ${key}`);
  return value;
}

/**
 * The configuration as a process of the component reads it: the file that its argument names, out of the ConfigMap that is
 * mounted there, and its environment.
 */
export function configOf(rendered: Rendered, component: "control" | "proxy"): Config {
  const workload = rendered.workload(component);
  const [command, flag, path = ""] = texts(container(workload).args);
  if (command !== component || flag !== "--config")
    throw new Error(`${component} is not started with --config`);
  const mount = mappings(container(workload).volumeMounts).find(
    ({ mountPath }) => mountPath === dirname(path),
  );
  const volume = mappings(podSpec(workload).volumes).find(({ name }) => name === mount?.name);
  const map = rendered.object("ConfigMap", String(at(volume, "configMap", "name")));
  const folder = mkdtempSync(join(tmpdir(), "miroir-chart-"));
  try {
    const file = join(folder, basename(path));
    writeFileSync(file, String(at(map, "data", basename(path))));
    return loadConfig({ file, environment: environmentOf(rendered, workload), flags: {} });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Does work for each item, two at a time. */
export async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const worker = async (): Promise<void> => {
    for (const item of rest) await work(item);
  };
  await Promise.all([worker(), worker()]);
}
