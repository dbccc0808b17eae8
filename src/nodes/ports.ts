import { createServer } from "node:net";
import { NodeLaunchError } from "./errors.js";

/**
 * Picks a TCP port that is free now. Nothing holds it afterwards, so whoever binds it must be ready to find
 * it taken.
 */
export function findFreePort(host = "127.0.0.1"): Promise<number> {
  return probe(host, 0);
}

/**
 * Checks that `port` can be bound.
 *
 * @throws NodeLaunchError `port_busy` where another process listens on it.
 */
export async function assertPortFree(host: string, port: number): Promise<void> {
  try {
    await probe(host, port);
  } catch (error) {
    throw new NodeLaunchError(
      "port_busy",
      `port ${port} on ${host} is taken; stop what listens on it or choose another port`,
      { cause: error },
    );
  }
}

function probe(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      const bound = typeof address === "object" && address !== null ? address.port : port;
      server.close((error) => (error === undefined ? resolve(bound) : reject(error)));
    });
  });
}
