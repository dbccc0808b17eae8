import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findFreePort } from "../../src/nodes/ports.js";
import type { ChildServer } from "./child-server.js";
import { RawConnection } from "./raw-connection.js";

/** Starts HAProxy on one thread in front of the server at `target`; undefined where it is not installed. */
export async function startHaproxy(target: string): Promise<ChildServer | undefined> {
  if (spawnSync("haproxy", ["-v"]).error !== undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "miroir-haproxy-"));
  const port = await findFreePort("127.0.0.1");
  const config = join(folder, "haproxy.cfg");
  writeFileSync(config, configuration(port, target));
  const child = spawn("haproxy", ["-db", "-f", config], { stdio: ["ignore", "ignore", "inherit"] });
  const exited = once(child, "exit").finally(() => rmSync(folder, { recursive: true, force: true }));
  const url = `http://127.0.0.1:${port}`;
  await untilListening(url, child);
  return {
    pid: child.pid ?? 0,
    urls: [url],
    stop: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

function configuration(port: number, target: string): string {
  return `global
  nbthread 1
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
frontend clients
  bind 127.0.0.1:${port}
  default_backend node
backend node
  http-reuse always
  server node ${new URL(target).host}
`;
}

async function untilListening(url: string, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`haproxy ended with ${child.exitCode}`);
    const isOpen = await RawConnection.open(url).then(
      (connection) => {
        connection.close();
        return true;
      },
      () => false,
    );
    if (isOpen) return;
    await sleep(20);
  }
}
