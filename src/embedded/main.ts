#!/usr/bin/env node
import { parseArgs } from "node:util";
import { createEmbeddedNode, type EmbeddedNodeOptions } from "./node.js";

const USAGE = `Miroir's embedded node: a development server with Meilisearch's API. It is not Meilisearch.

  --http-addr <host:port>               address to listen on (default localhost:7700)
  --db-path <folder>                    keeps data in this folder (default: in memory)
  --master-key <key>                    requests need keys
  --http-payload-size-limit <size>      largest body, in bytes or as "100MiB" (default 100MiB)
  --experimental-max-number-of-batched-tasks <n>   most tasks in one batch
  --batch-delay-ms <ms>                 how long a batch stays "processing" (default 0)
  --fault-control                       serves /_embedded/faults
  --no-analytics, --env, --log-level    accepted and ignored
`;

function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]?)(i?b)?$/i.exec(text.trim());
  if (match === null)
    throw new Error(`--http-payload-size-limit: cannot read "${text}"; write bytes or such as 100MiB`);
  const base = match[3]?.toLowerCase() === "b" ? 1000 : 1024;
  const power = ["", "k", "m", "g"].indexOf((match[2] ?? "").toLowerCase());
  return Math.floor(Number(match[1]) * base ** power);
}

function readOptions(): EmbeddedNodeOptions | undefined {
  const { values } = parseArgs({
    options: {
      "http-addr": { type: "string" },
      "db-path": { type: "string" },
      "master-key": { type: "string" },
      "http-payload-size-limit": { type: "string" },
      "experimental-max-number-of-batched-tasks": { type: "string" },
      "batch-delay-ms": { type: "string" },
      "fault-control": { type: "boolean" },
      "no-analytics": { type: "boolean" },
      env: { type: "string" },
      "log-level": { type: "string" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) return undefined;
  const address = values["http-addr"] ?? process.env.MEILI_HTTP_ADDR ?? "localhost:7700";
  const colon = address.lastIndexOf(":");
  const dbPath = values["db-path"];
  const masterKey = values["master-key"] ?? process.env.MEILI_MASTER_KEY;
  const limit = values["http-payload-size-limit"];
  const batched = values["experimental-max-number-of-batched-tasks"];
  const delay = values["batch-delay-ms"];
  return {
    host: address.slice(0, colon),
    port: Number(address.slice(colon + 1)),
    faultControl: values["fault-control"] ?? false,
    ...(dbPath !== undefined && { dbPath }),
    ...(masterKey !== undefined && { masterKey }),
    ...(limit !== undefined && { payloadSizeLimit: parseSize(limit) }),
    ...(batched !== undefined && { maxBatchedTasks: Number(batched) }),
    ...(delay !== undefined && { batchDelayMs: Number(delay) }),
  };
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options === undefined) {
    process.stdout.write(USAGE);
    return;
  }
  const node = await createEmbeddedNode(options);
  process.stdout.write(`Miroir's embedded node (not Meilisearch) listens on ${node.url}\n`);
  let closing = false;
  const stop = () => {
    if (closing) return;
    closing = true;
    node.close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  // A launcher that is gone, however it went, takes its node with it.
  process.on("disconnect", stop);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
