import { Ajv, type ErrorObject } from "ajv";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { configSchema } from "../../../src/cli/config.js";
import {
  at,
  defaultValues,
  failingFiles,
  isMapping,
  type Mapping,
  mappings,
  mergeValues,
  passingFiles,
  texts,
  valuesSchema,
} from "./chart-files.js";

const schema = valuesSchema();
const defaults = defaultValues();
const rules = mappings(schema.allOf);
const failing = failingFiles();

function ruleName(rule: Mapping): string {
  return String(rule.$comment).replace(/^rule: /, "");
}

/** A function that says what a schema has against values: `path: message` for each fault, with the names that it is about. */
function compile(against: Mapping): (values: Mapping) => readonly string[] {
  // A rule and the part of the schema that gives a value its type are apart, on purpose.
  const validate = new Ajv({ allErrors: true, strict: true, strictTypes: false }).compile(against);
  return (values) => {
    validate(values);
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }: ErrorObject) =>
        `${instancePath.slice(1).replaceAll("/", ".")}: ${message} ${JSON.stringify(params)}`,
    );
  };
}

const faults = compile(schema);

describe("the schema accepts", () => {
  it.each(passingFiles())("$name", ({ values }) => {
    expect(faults(mergeValues(defaults, values))).toEqual([]);
  });
});

describe("the schema refuses", () => {
  it.each(failing.filter(({ rule }) => rule !== "template"))("$name", ({ values, expected }) => {
    expect(faults(mergeValues(defaults, values)).join("\n")).toContain(expected);
  });

  it("leaves to the templates what takes arithmetic", () => {
    for (const { values } of failing.filter(({ rule }) => rule === "template")) {
      expect(faults(mergeValues(defaults, values))).toEqual([]);
    }
  });
});

describe("the rules of the schema", () => {
  it("have a name each, and a file that breaks them", () => {
    const names = rules.map(ruleName);
    expect(new Set(names).size).toBe(names.length);
    const broken = new Set(failing.map(({ rule }) => rule));
    expect(names.filter((name) => !broken.has(name))).toEqual([]);
    expect([...broken].filter((name) => !["shape", "template", ...names].includes(name))).toEqual([]);
  });

  it.each(rules.map((rule) => ({ name: ruleName(rule), rule })))(
    "$name is what refuses its files: without it they pass",
    ({ name, rule }) => {
      const without = compile({ ...schema, allOf: rules.filter((other) => other !== rule) });
      const files = failing.filter((file) => file.rule === name);
      for (const { values } of files) expect(without(mergeValues(defaults, values))).toEqual([]);
    },
  );

  it.each(rules.map((rule) => ({ name: ruleName(rule), rule })))(
    "$name asks for every value that it speaks of, so that none passes by being absent",
    ({ rule }) => {
      let looked = 0;
      walk([rule.if, rule.then], (part) => {
        const spoken = Object.keys(isMapping(part.properties) ? part.properties : {});
        expect(texts(part.required)).toEqual(expect.arrayContaining(spoken));
        looked += spoken.length;
      });
      expect(looked).toBeGreaterThan(0);
    },
  );

  it("hold for values that somebody deleted: the deletion itself is refused", () => {
    const paths = new Set<string>();
    for (const rule of rules) collectPaths(rule.if, [], paths);
    for (const rule of rules) collectPaths(rule.then, [], paths);
    expect(paths.size).toBeGreaterThan(15);
    for (const path of paths) {
      const deletion = path.split(".").reduceRight<unknown>((inner, name) => ({ [name]: inner }), null);
      const values = mergeValues(
        mergeValues(defaults, { secrets: { existingSecret: "keys" } }),
        deletion as Mapping,
      );
      expect(faults(values), path).not.toEqual([]);
    }
  });
});

describe("the schema's shape", () => {
  it("lets no name through that it does not know, but where Kubernetes decides", () => {
    const open: string[] = [];
    walk([{ ...schema, allOf: [] }], (part, path) => {
      if (part.type !== "object" || part.additionalProperties === false) return;
      if (isMapping(part.additionalProperties)) return;
      if (part.$comment === "handed to Kubernetes as it is") return;
      open.push(path);
    });
    expect(open).toEqual(["/0/properties/global"]);
  });

  it("knows every value of values.yaml, and values.yaml has every one that it knows", () => {
    compareNames(defaults, schema, []);
  });

  it("has the ranges of the configuration that the values become", () => {
    const config = z.toJSONSchema(configSchema, { io: "input", unrepresentable: "any" });
    const members = {
      "cluster.groups": "groups",
      "cluster.replicationFactor": "replication_factor",
      "cluster.shards": "shards",
      "cluster.minInSync": "min_in_sync",
      "cluster.httpPayloadSizeLimit": "http_payload_size_limit",
      "cluster.spoolThreshold": "spool_threshold",
      "cluster.leaseDurationMs": "lease_duration_ms",
      "cluster.leaderLeaseMs": "leader_lease_ms",
      "cluster.nodeWriteTimeoutMs": "node_write_timeout_ms",
      "cluster.unavailableShardPolicy": "unavailable_shard_policy",
      "cluster.readSpread": "read_spread",
      "cluster.hedgePercent": "hedge_percent",
      "cluster.maxConcurrentReads": "max_concurrent_reads",
      "cluster.maxQueuedReads": "max_queued_reads",
      "cluster.readTimeoutMs": "read_timeout_ms",
      "cluster.writeHoldMs": "write_hold_ms",
      "cluster.logLevel": "log_level",
      "store.taskRetentionMax": "task_retention_max",
      "store.taskRetentionHours": "task_retention_hours",
      "store.historyRetentionHours": "history_retention_hours",
      "control.replicas": "control_replicas",
    };
    for (const [value, member] of Object.entries(members)) {
      const ours = at(schema, ...value.split(".").flatMap((name) => ["properties", name]));
      const theirs = at(config, "properties", member);
      expect(range(ours), value).toEqual(range(theirs));
    }
  });
});

function range(part: unknown): unknown {
  return { minimum: at(part, "minimum"), maximum: at(part, "maximum"), enum: at(part, "enum") };
}

/** Calls back for every mapping inside, with its path. */
function walk(value: unknown, visit: (part: Mapping, path: string) => void, path = ""): void {
  if (isMapping(value)) visit(value, path);
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) walk(inner, visit, `${path}/${key}`);
}

/** The values that a rule decides by. */
function collectPaths(part: unknown, path: readonly string[], into: Set<string>): void {
  if (!isMapping(part)) return;
  for (const inner of [...mappings(part.allOf), ...mappings(part.anyOf)]) collectPaths(inner, path, into);
  if (!isMapping(part.properties)) {
    if (path.length > 0 && part.allOf === undefined && part.anyOf === undefined) into.add(path.join("."));
    return;
  }
  for (const [name, inner] of Object.entries(part.properties)) collectPaths(inner, [...path, name], into);
}

/** Both ways: every member of the values has a property, and every property a member. */
function compareNames(values: Mapping, part: unknown, path: readonly string[]): void {
  const reference = at(part, "$ref");
  const resolved = typeof reference === "string" ? at(schema, ...reference.split("/").slice(1)) : part;
  const properties = at(resolved, "properties");
  if (!isMapping(properties)) return;
  // What Kubernetes defines has more members than anybody needs as a default.
  if (typeof reference === "string" && /(resources|[sS]ecurityContext|affinity)$/.test(reference)) return;
  const names = Object.keys(properties).filter((name) => name !== "global");
  expect(Object.keys(values).sort(), path.join(".")).toEqual(names.sort());
  for (const [name, inner] of Object.entries(values)) {
    if (isMapping(inner)) compareNames(inner, properties[name], [...path, name]);
  }
}
