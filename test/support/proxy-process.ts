import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { bundleChild } from "./child-program.js";
import type { Fleet } from "./fleet.js";
import { type MeilisearchHttp, meilisearchHttp } from "./meilisearch-http.js";

/** A proxy as a process of its own, which can be killed. */
export interface ProxyProcess {
  readonly id: string;
  readonly api: MeilisearchHttp;
  /** Resolves once the process has ended. */
  kill(signal: "SIGKILL" | "SIGTERM"): Promise<void>;
}

/** Starts a proxy of `fleet`; resolves once it may write. */
export async function startProxyProcess(fleet: Fleet, id: string, masterKey?: string): Promise<ProxyProcess> {
  const program = await bundleChild(fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url)));
  const folder = mkdtempSync(join(tmpdir(), "miroir-proxy-"));
  const config = join(folder, "proxy.json");
  const settings = {
    http: "127.0.0.1:0",
    control: [fleet.controlAddress()],
    proxy_id: id,
    master_key: masterKey,
  };
  writeFileSync(config, JSON.stringify(settings));
  const child = spawn(process.execPath, [program, "proxy", "--config", config], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = once(child, "exit").finally(() => rmSync(folder, { recursive: true, force: true }));
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      if (process.env.MIROIR_TEST_LOG !== undefined) process.stderr.write(`${id} ${line}\n`);
      const entry = line.startsWith("{") ? (JSON.parse(line) as { msg?: string; url?: string }) : {};
      if (entry.msg === "proxy is serving" && entry.url !== undefined) resolve(entry.url);
    });
    void exited.then(([code]) => reject(new Error(`proxy ${id} ended with ${code}`)));
  });
  const api = meilisearchHttp(url, masterKey);
  await fleet.eventually(async () => {
    const answer = await api.send("GET", "/_miroir/ready");
    return answer.status === 200 && answer.text.includes('"writes":"held"') ? true : undefined;
  });
  return {
    id,
    api,
    kill: async (signal) => {
      child.kill(signal);
      await exited;
    },
  };
}
