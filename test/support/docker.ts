import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "undici";
import type { NodeProcess } from "../../src/nodes/launch.js";
import { findFreePort } from "../../src/nodes/ports.js";

const IMAGE = "getmeili/meilisearch:v1.50";
const PING_TIMEOUT_MS = 500;

/** Whether a Docker engine answers; false within half a second where none does. */
export async function dockerEngineAnswers(): Promise<boolean> {
  const address = process.env.DOCKER_HOST ?? "unix:///var/run/docker.sock";
  const socketPath = address.startsWith("unix://") ? address.slice("unix://".length) : undefined;
  if (socketPath !== undefined && !existsSync(socketPath)) return false;
  const origin = socketPath === undefined ? address.replace(/^tcp:/, "http:") : "http://localhost";
  const client = new Client(origin, socketPath === undefined ? {} : { socketPath });
  try {
    const answer = await client.request({
      path: "/_ping",
      method: "GET",
      signal: AbortSignal.timeout(PING_TIMEOUT_MS),
    });
    await answer.body.dump();
    return answer.statusCode === 200;
  } catch {
    return false;
  } finally {
    await client.destroy();
  }
}

/** Starts Meilisearch in a container that can be killed and started again on the same port and data. */
export async function startContainerNode(masterKey: string, args: readonly string[]): Promise<NodeProcess> {
  const { GenericContainer, Wait } = await import("testcontainers");
  const port = await findFreePort();
  const container = await new GenericContainer(IMAGE)
    .withExposedPorts({ container: 7700, host: port })
    .withEnvironment({ MEILI_MASTER_KEY: masterKey, MEILI_NO_ANALYTICS: "true" })
    .withCommand(["/bin/meilisearch", ...args])
    .withWaitStrategy(Wait.forHttp("/health", 7700))
    .start();
  const { getContainerRuntimeClient } = await import("testcontainers");
  const handle = (await getContainerRuntimeClient()).container.getById(container.getId());
  const url = `http://127.0.0.1:${port}`;
  const healthy = async () => {
    for (const deadline = performance.now() + 30_000; ; await sleep(50)) {
      const answer = await fetch(`${url}/health`).catch(() => undefined);
      if (answer?.ok === true) return;
      if (performance.now() > deadline) throw new Error(`the container at ${url} did not become healthy`);
    }
  };
  let removed = false;
  return {
    url,
    kind: "binary",
    version: "1.50",
    masterKey,
    pid: undefined,
    logFile: join("docker logs", container.getId()),
    get exited() {
      return Promise.reject(new Error("a container's end is not observed"));
    },
    async kill(signal = "SIGKILL") {
      await handle.kill({ signal });
    },
    async stop() {
      if (removed) return;
      removed = true;
      await container.stop({ timeout: 0, remove: true });
    },
    async restart() {
      await handle.restart({ t: 0 });
      await healthy();
    },
  };
}
