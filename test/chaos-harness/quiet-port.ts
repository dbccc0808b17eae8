import { assertPortFree } from "../../src/nodes/ports.js";

/** Below what systems give to outgoing connections, which would take the port of a process that is down for a moment. */
const FIRST_PORT = 15_000;
const LAST_PORT = 30_000;
const ATTEMPTS = 50;

/** A free port of the loopback interface that stays free while its process is started again. */
export async function quietPort(): Promise<number> {
  let last: unknown;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
    try {
      await assertPortFree("127.0.0.1", port);
      return port;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`none of ${ATTEMPTS} ports is free`, { cause: last });
}
