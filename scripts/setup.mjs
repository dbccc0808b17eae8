#!/usr/bin/env node
// Brings a clone to the point where it can run: dependencies, generated code, build. Each step is
// skipped while what it depends on is unchanged, so that calling this before every command costs little.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { delimiter, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const stampFile = join(root, ".miroir", "setup.json");
const MINIMUM_NODE = [20, 19];

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < MINIMUM_NODE[0] || (major === MINIMUM_NODE[0] && minor < MINIMUM_NODE[1])) {
  fail(`Node ${MINIMUM_NODE.join(".")} or newer is needed; this is ${process.versions.node}.`);
}

// buf finds the generator on the PATH.
const env = {
  ...process.env,
  PATH: `${join(root, "node_modules", ".bin")}${delimiter}${process.env.PATH ?? ""}`,
};
const stamps = existsSync(stampFile) ? JSON.parse(readFileSync(stampFile, "utf8")) : {};

step(
  "dependencies",
  digest(["package.json", "package-lock.json"]),
  existsSync(join(root, "node_modules")),
  () => run("npm", ["ci", "--no-audit", "--no-fund"], "installing dependencies"),
);
step(
  "generated",
  digest(["buf.yaml", "buf.gen.yaml", "proto"]) + stamps.dependencies,
  existsSync(join(root, "src/gen")),
  () => run(bin("buf"), ["generate"], "generating code from proto/"),
);
step(
  "built",
  digest(["src", "tsconfig.json", "tsconfig.build.json"]) + stamps.generated,
  existsSync(join(root, "dist")),
  () => run(bin("tsc"), ["-p", "tsconfig.build.json"], "building"),
);

linkCommand();

/** `npx miroir` finds the command of the package that it runs in only where a link to it was made. */
function linkCommand() {
  const target = join(root, "dist", "cli", "main.js");
  chmodSync(target, 0o755);
  if (process.platform === "win32" || existsSync(bin("miroir"))) return;
  rmSync(bin("miroir"), { force: true });
  symlinkSync(relative(dirname(bin("miroir")), target), bin("miroir"));
}

function step(name, key, present, action) {
  if (present && stamps[name] === key) return;
  action();
  stamps[name] = key;
  mkdirSync(dirname(stampFile), { recursive: true });
  writeFileSync(stampFile, JSON.stringify(stamps));
}

/** SHA-256 over the names and contents of files and folders. */
function digest(paths) {
  const hash = createHash("sha256").update(process.versions.modules);
  for (const file of paths.flatMap((path) => filesUnder(join(root, path)))) {
    hash.update(relative(root, file)).update(readFileSync(file));
  }
  return hash.digest("hex");
}

function filesUnder(path) {
  if (!existsSync(path)) return [];
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { recursive: true })
    .map((name) => join(path, name))
    .filter((file) => statSync(file).isFile())
    .sort();
}

function bin(name) {
  return join(root, "node_modules", ".bin", name);
}

function run(command, args, what) {
  console.error(`miroir: ${what} …`);
  // Standard output belongs to the command that follows.
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2], env });
  if (status !== 0) fail(`${what} failed${error ? `: ${error.message}` : ""}`);
}

function fail(message) {
  console.error(`miroir: ${message}`);
  process.exit(1);
}
