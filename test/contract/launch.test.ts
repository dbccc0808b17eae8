import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { NodeLaunchError } from "../../src/nodes/errors.js";
import { findMeilisearchBinary } from "../../src/nodes/find-binary.js";
import { launchNode, type NodeKind } from "../../src/nodes/launch.js";
import { hasRealNode, nodeBackend } from "../support/nodes.js";

const kinds: NodeKind[] = nodeBackend.kind === "binary" ? ["embedded", "binary"] : ["embedded"];
const masterKey = "launch-master-key-0123456789";

describe.each(kinds)("launching a node: %s", (kind) => {
  let dataDir: string;
  beforeAll(() => {
    dataDir = mkdtempSync(join(tmpdir(), "miroir-launch-"));
  });
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

  it("starts, is killed, starts again on the same address with its acknowledged tasks", async () => {
    const node = await launchNode({ kind, dataDir, masterKey });
    try {
      expect(node.version).toMatch(/^1\.50\./);
      expect(node.kind).toBe(kind);
      expect(node.pid).toBeGreaterThan(0);
      const headers = { authorization: `Bearer ${masterKey}`, "content-type": "application/json" };
      const accepted = await fetch(`${node.url}/indexes/kept/documents`, {
        method: "POST",
        headers,
        body: '[{"id":1}]',
      });
      expect(accepted.status).toBe(202);
      await node.kill("SIGKILL");
      expect(node.pid).toBeUndefined();
      expect(await node.exited).toContain("SIGKILL");
      const url = node.url;
      await node.restart();
      expect(node.url).toBe(url);
      const tasks = (await (await fetch(`${url}/tasks`, { headers })).json()) as { total: number };
      expect(tasks.total).toBe(1);
    } finally {
      await node.stop();
    }
    expect(readFileSync(node.logFile, "utf8").length).toBeGreaterThan(0);
  });

  it("names a busy port", async () => {
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(0, "127.0.0.1", resolve));
    const address = squatter.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await expect(launchNode({ kind, dataDir: join(dataDir, "busy"), masterKey, port })).rejects.toMatchObject(
      {
        code: "port_busy",
      },
    );
    await new Promise((resolve) => squatter.close(resolve));
  });

  it("tells why a process ended before it was ready", async () => {
    const attempt = launchNode({
      kind,
      dataDir: join(dataDir, "early"),
      masterKey,
      args: ["--no-such-flag"],
    });
    await expect(attempt).rejects.toBeInstanceOf(NodeLaunchError);
    await expect(attempt).rejects.toMatchObject({ code: "exited_early" });
    await expect(attempt).rejects.toThrow(/no-such-flag/);
  });
});

describe.each(kinds)("a launcher that is killed: %s", (kind) => {
  it("leaves no node behind", async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "miroir-orphan-"));
    const launcher = fileURLToPath(new URL("../../src/nodes/launch.ts", import.meta.url));
    const script = `
      import { launchNode } from ${JSON.stringify(launcher)};
      const node = await launchNode(${JSON.stringify({ kind, dataDir, masterKey })});
      process.stdout.write(JSON.stringify({ pid: node.pid }));
      setInterval(() => undefined, 1000);`;
    const parent = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
      cwd: fileURLToPath(new URL("../../", import.meta.url)),
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = (await once(parent.stdout, "data")) as [Buffer];
    const { pid } = JSON.parse(line.toString()) as { pid: number };
    parent.kill("SIGKILL");
    await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow(), { timeout: 10_000 });
    rmSync(dataDir, { recursive: true, force: true });
  });
});

describe("finding a binary", () => {
  it("refuses a MEILISEARCH_BIN that is not executable", () => {
    expect(() => findMeilisearchBinary({ MEILISEARCH_BIN: "/nonexistent/meilisearch" })).toThrow(
      NodeLaunchError,
    );
  });
  it("finds nothing on an empty path", () => {
    expect(findMeilisearchBinary({ PATH: "" })).toBeUndefined();
  });
  it.runIf(hasRealNode && nodeBackend.kind === "binary")(
    "finds the one on PATH or in MEILISEARCH_BIN",
    () => {
      expect(findMeilisearchBinary()).toBeDefined();
    },
  );
});
