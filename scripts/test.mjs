#!/usr/bin/env node
// Runs every suite, the ones that need nodes on real Meilisearch nodes where a binary is found and on embedded
// ones elsewhere, and ends with the plain line `N passed, N failed, N skipped`.
import { spawnSync } from "node:child_process";
import { accessSync, constants, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const NODE_SUITES = ["test/contract", "test/integration", "test/chaos", "test/compatibility"];
const PURE_SUITES = ["test/unit", "test/simulation", "test/golden"];
/** Suites of the embedded node itself, and those that make embedded nodes themselves, since what they kill are other processes. */
const EMBEDDED_SUITES = ["test/contract", "test/chaos/harness.test.ts", "test/high-availability"];
const filters = process.argv.slice(2);

const runs =
  filters.length > 0
    ? [{ name: "selected", paths: filters, node: process.env.MIROIR_TEST_NODE }]
    : [
        { name: "no nodes", paths: PURE_SUITES },
        ...(findBinary() === undefined
          ? [{ name: "embedded nodes", paths: [...NODE_SUITES, "test/high-availability"], node: "embedded" }]
          : [
              { name: "real nodes", paths: NODE_SUITES, node: "real" },
              { name: "embedded nodes", paths: EMBEDDED_SUITES, node: "embedded" },
            ]),
      ];

const total = { passed: 0, failed: 0, skipped: 0 };
const lines = [];
for (const run of runs) {
  const counts = runSuites(run);
  for (const kind of Object.keys(total)) total[kind] += counts[kind];
  lines.push(`${run.name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
}
if (!runs.some((run) => run.node === "real")) {
  lines.push("no Meilisearch binary found (MEILISEARCH_BIN, PATH): nothing ran on real nodes");
}
console.log(`\n${lines.join("\n")}`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed > 0 || total.passed === 0 ? 1 : 0);

function runSuites({ name, paths, node }) {
  console.log(`\n── ${name} ──`);
  const folder = mkdtempSync(join(tmpdir(), "miroir-test-"));
  const report = join(folder, "report.json");
  const { status } = spawnSync(
    join(root, "node_modules/.bin/vitest"),
    [
      "run",
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${report}`,
      "--passWithNoTests",
      ...paths,
    ],
    {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, ...(node ? { MIROIR_TEST_NODE: node } : {}) },
    },
  );
  try {
    const result = JSON.parse(readFileSync(report, "utf8"));
    const counts = {
      passed: result.numPassedTests,
      failed: result.numFailedTests,
      skipped: result.numPendingTests + result.numTodoTests,
    };
    // A file that fails outside its tests has no failed test of its own.
    if (status !== 0 && counts.failed === 0) counts.failed = Math.max(1, result.numFailedTestSuites);
    lines.push(...failures(result).map((failure) => `failed: ${failure}`));
    return counts;
  } catch (error) {
    console.error(`no report from the test runner: ${error.message}`);
    return { passed: 0, failed: 1, skipped: 0 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What failed and how, a line each, for whoever sees only the end of the output. */
function failures({ testResults }) {
  return testResults
    .filter(({ status }) => status === "failed")
    .flatMap(({ name, message, assertionResults }) => {
      const file = relative(root, name);
      const failed = assertionResults.filter(({ status }) => status === "failed");
      if (failed.length === 0) return [`${file}: ${firstLine(message)}`];
      return failed.map((test) => `${file}: ${test.fullName}: ${firstLine(test.failureMessages[0])}`);
    });
}

function firstLine(message = "") {
  return message.split("\n", 1)[0].slice(0, 300);
}

function findBinary() {
  const candidates = [
    process.env.MEILISEARCH_BIN,
    ...(process.env.PATH ?? "").split(delimiter).map((dir) => join(dir, "meilisearch")),
  ];
  return candidates.find((file) => file && isExecutable(file));
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
