#!/usr/bin/env node
// Holds the imports under src/ to the one direction of dependencies: a folder imports only from
// itself and from the folders named for it here.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const src = join(dirname(fileURLToPath(import.meta.url)), "..", "src");
const PURE = ["json", "placement", "merge", "settings", "rhai", "topology"];
const ALLOWED = {
  json: [],
  placement: ["json"],
  merge: ["json", "placement"],
  settings: ["json", "placement"],
  rhai: ["placement"],
  topology: ["json", "placement", "gen"],
  gen: [],
  runtime: [],
  tasks: ["gen"],
  webhooks: ["settings"],
  outbound: [],
  dumps: ["runtime"],
  meilisearch: ["json"],
  embedded: ["json"],
  nodes: ["meilisearch", "runtime"],
  store: ["gen", "runtime", "json"],
  client: ["gen"],
  control: [
    ...PURE,
    "gen",
    "runtime",
    "tasks",
    "webhooks",
    "outbound",
    "meilisearch",
    "store",
    "client",
    "dumps",
  ],
  proxy: [...PURE, "gen", "runtime", "tasks", "webhooks", "meilisearch", "client"],
  cli: [
    ...PURE,
    "gen",
    "runtime",
    "outbound",
    "meilisearch",
    "store",
    "control",
    "proxy",
    "client",
    "nodes",
    "dumps",
  ],
};

const faults = [];
for (const name of readdirSync(src, { recursive: true })) {
  const file = join(src, name);
  if (!file.endsWith(".ts") || !statSync(file).isFile()) continue;
  const from = relative(src, file).split("/")[0];
  if (!(from in ALLOWED)) {
    faults.push(`src/${name}: the folder ${from} is not in the table of scripts/check-boundaries.mjs`);
    continue;
  }
  const text = readFileSync(file, "utf8");
  for (const [, specifier] of text.matchAll(/(?:from|import)\s*\(?\s*["'](\.[^"']+)["']/g)) {
    const to = relative(src, resolve(dirname(file), specifier)).split("/")[0];
    if (to !== from && !ALLOWED[from].includes(to))
      faults.push(`src/${name}: ${from} must not import from ${to}`);
  }
  if (PURE.includes(from) && /from "node:(fs|http|net|child_process|timers)/.test(text)) {
    faults.push(`src/${name}: a pure folder does no I/O`);
  }
}
for (const fault of faults) console.error(fault);
console.error(faults.length === 0 ? "boundaries hold" : `${faults.length} imports go the wrong way`);
process.exit(faults.length === 0 ? 0 : 1);
