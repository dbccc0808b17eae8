/** One Miroir process of a chaos run: the product's own control plane or proxy, with a clock that can be set and nodes behind relays. */
import { configSchema } from "../../src/cli/config.js";
import { createLogger } from "../../src/cli/logger.js";
import { runControl } from "../../src/cli/run-control.js";
import { runProxy } from "../../src/cli/run-proxy.js";
import { whenToldToStop } from "../../src/cli/shutdown.js";
import type { NodeTransport } from "../../src/meilisearch/transport.js";
import { createUndiciTransport } from "../../src/meilisearch/undici-transport.js";
import { createSystemWorld, type World } from "../../src/runtime/world.js";
import { withPlantedFault } from "./planted-faults.js";
import type { ProcessSpec, ToChild, ToParent } from "./process-spec.js";

const spec = JSON.parse(process.argv[2] ?? "{}") as ProcessSpec;
let clockOffsetMs = 0;
process.on("message", (message: ToChild) => {
  clockOffsetMs = message.clockOffsetMs;
});
// Whoever started this process is gone, and with it everything that it works with.
process.on("disconnect", () => process.exit(1));

const system = createSystemWorld();
const world: World = {
  ...system,
  clock: { now: () => system.clock.now() + clockOffsetMs, monotonic: () => system.clock.monotonic() },
};
const config = configSchema.parse(spec.config);
const { logger, output: logs } = createLogger(config);
const transport = withPlantedFault(throughRelays(createUndiciTransport(), spec.nodeUrls), spec.plantedFault);
const stop = whenToldToStop();
const running =
  spec.role === "control"
    ? await runControl({ config, world, logger, transport })
    : await runProxy({ config, world, logger, logs, transport });
const ready: ToParent = { ready: true };
process.send?.(ready);
if ("failed" in running) running.failed.catch(() => process.exit(1));
await stop;
await running.close();
process.exit(0);

/** Reaches each node under the address that this process has for it. */
function throughRelays(inner: NodeTransport, urls: ProcessSpec["nodeUrls"]): NodeTransport {
  return {
    request: (node, request) => inner.request({ ...node, url: urls[node.url] ?? node.url }, request),
    close: () => inner.close(),
  };
}
