import type { Command } from "commander";
import { createMiroirClient, type MiroirClient } from "../../client/index.js";
import { type Dump, openDump } from "../../dumps/dump-reader.js";
import { DumpFaultError } from "../../dumps/manifest.js";
import { createSystemWorld, type World } from "../../runtime/world.js";
import { explain, serverUrl } from "../ctl/context.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { collect, parseWholeNumber } from "../options.js";
import { createOutput } from "../output.js";
import { startProgress } from "../progress.js";
import { createProxyApi, type ProxyApi, withPatience } from "../proxy-api.js";
import { parseEmbedderKeys } from "./embedder-keys.js";
import { planRestore, type RestoreReport, runRestore } from "./restore-fleet.js";

interface RestoreFlags {
  readonly from: string;
  readonly url: string;
  readonly key?: string;
  readonly server?: string;
  readonly adminKey?: string;
  readonly index?: readonly string[];
  readonly overwrite?: readonly string[];
  readonly embedderKey?: readonly string[];
  readonly batchBytes: number;
  readonly verify?: boolean;
  readonly json?: boolean;
}

/** How long a fleet may take to become able to do what it is asked. Milliseconds. */
const PATIENCE_MS = 60_000;

/** `miroir restore`: a dump into an empty fleet, through its public API. */
export function addRestoreCommand(program: Command): void {
  program
    .command("restore")
    .description(
      "write a dump into an empty fleet through a proxy; nothing is written before the dump is known to be whole, and a second run goes on where the first broke off",
    )
    .requiredOption("--from <folder>", "the dump: a folder that POST /dumps has made")
    .option("--url <url>", "a proxy of the fleet", "http://127.0.0.1:7700")
    .option("--key <key>", "the fleet's master key (or MIROIR_MASTER_KEY)")
    .option(
      "--server <url>",
      "the control plane, for webhooks, chats and the network, which have no place elsewhere (or MIROIR_SERVER)",
    )
    .option("--admin-key <key>", "key of the control plane's admin API (or MIROIR_ADMIN_KEY)")
    .option("--index <uid>", "restore this index and nothing else; give it once for each", collect)
    .option("--overwrite <uid>", "delete this index of the fleet first; give it once for each", collect)
    .option(
      "--embedder-key <index:embedder=key>",
      "the API key of an embedder, in place of the dump's; give it once for each",
      collect,
    )
    .option(
      "--batch-bytes <bytes>",
      "bytes of documents in one request; below the proxies' http_payload_size_limit",
      parseWholeNumber,
      8_388_608,
    )
    .option("--verify", "read the dump, compare it with its sums, and write nothing")
    .option("--json", "print one JSON document instead of text")
    .action(async (flags: RestoreFlags) => {
      await restore(flags, createSystemWorld());
    });
}

async function restore(flags: RestoreFlags, world: World): Promise<void> {
  const output = createOutput(flags.json === true);
  const choice = {
    indexes: flags.index ?? [],
    overwrite: flags.overwrite ?? [],
    embedderKeys: parseEmbedderKeys(flags.embedderKey ?? []),
    batchBytes: flags.batchBytes,
  };
  const dump = await open(flags.from);
  try {
    await verify(dump, world);
    if (flags.verify === true) {
      const { dumpUid, indexes, finishedAt } = dump.manifest;
      const documents = indexes.reduce((sum, index) => sum + index.documents, 0);
      output.result({ dumpUid, finishedAt, indexes: indexes.length, documents, bytes: dump.bytes }, () =>
        output.line(`${flags.from}: whole, with ${indexes.length} indexes and ${documents} documents`),
      );
      return;
    }
    const report = await write(dump, flags, choice, world);
    const { indexes, experimentalFeatures, keys, resources } = report;
    const json = {
      indexes: indexes.map((index) => ({ ...index })),
      experimentalFeatures: [...experimentalFeatures],
      keys: { ...keys },
      resources: { ...resources },
    };
    output.result(json, () => {
      for (const line of describe(report)) output.line(line);
    });
  } catch (error) {
    if (!(error instanceof DumpFaultError)) throw explain(error, flags.server ?? "the control plane");
    throw new CommandError(ExitCode.failure, `${flags.from}: ${error.message}`, { cause: error });
  }
}

async function open(folder: string): Promise<Dump> {
  try {
    return await openDump(folder);
  } catch (error) {
    if (!(error instanceof DumpFaultError)) throw error;
    const isMissing = error.cause instanceof Error && "code" in error.cause && error.cause.code === "ENOENT";
    throw new CommandError(isMissing ? ExitCode.notFound : ExitCode.failure, `${folder}: ${error.message}`, {
      cause: error,
    });
  }
}

async function verify(dump: Dump, world: World): Promise<void> {
  const progress = startProgress({
    label: "reading the dump (bytes)",
    total: dump.bytes,
    now: () => world.clock.monotonic(),
    stream: process.stderr,
  });
  await dump.verify((bytes) => progress.update(bytes));
  progress.finish();
}

async function write(
  dump: Dump,
  flags: RestoreFlags,
  choice: Parameters<typeof planRestore>[2],
  world: World,
): Promise<RestoreReport> {
  const api = apiOf(flags, world);
  const plan = await planRestore(api, dump, choice);
  const progress = startProgress({
    label: "restoring documents",
    total: plan.documents,
    now: () => world.clock.monotonic(),
    stream: process.stderr,
  });
  const around = { client: clientOf(flags), now: world.clock.now() };
  const report = await runRestore(api, dump, plan, choice, around, (done) => progress.update(done));
  progress.finish();
  return report;
}

function apiOf({ url, key = process.env.MIROIR_MASTER_KEY }: RestoreFlags, world: World): ProxyApi {
  const base = (/^https?:\/\//.test(url) ? url : `http://${url}`).replace(/\/+$/, "");
  if (!URL.canParse(base)) throw new CommandError(ExitCode.usage, `--url ${url}: expected a URL`);
  const sleep = (delayMs: number): Promise<void> => world.timers.sleep(delayMs);
  return withPatience(createProxyApi(base, key, sleep), PATIENCE_MS, {
    now: () => world.clock.monotonic(),
    sleep,
  });
}

function clientOf({
  server = process.env.MIROIR_SERVER,
  adminKey = process.env.MIROIR_ADMIN_KEY,
}: RestoreFlags): MiroirClient | undefined {
  if (server === undefined) return undefined;
  return createMiroirClient({ baseUrl: serverUrl(server), ...(adminKey === undefined ? {} : { adminKey }) });
}

function* describe({ indexes, keys, resources, experimentalFeatures }: RestoreReport): Generator<string> {
  for (const { uid, documents } of indexes) yield `${uid}: ${documents} documents`;
  if (experimentalFeatures.length > 0) yield `experimental features: ${experimentalFeatures.join(", ")}`;
  if ("leftOut" in keys) yield `keys: left out, ${keys.leftOut}`;
  else {
    const { created, present, expired, replaced } = keys;
    yield `keys: ${created} created, ${present} there already, ${expired} expired and left out, ${replaced} default keys of the new fleet replaced`;
  }
  if ("leftOut" in resources) yield `webhooks, chats, network: left out, ${resources.leftOut}`;
  else if (resources.created + resources.present > 0) {
    yield `webhooks, chats, network: ${resources.created} restored, ${resources.present} there already`;
  }
}
