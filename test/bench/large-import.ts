import { Readable } from "node:stream";
import { request } from "undici";
import { meilisearchHttp } from "../support/meilisearch-http.js";
import { type BenchFleet, startBenchFleet } from "./bench-fleet.js";
import { startChildServer } from "./child-server.js";
import type { BenchDocument } from "./documents.js";
import { cpuMs, forgetMost, memoryOf } from "./process-usage.js";
import { Started } from "./started.js";
import type { Swallowed } from "./swallowing-node.js";

/** How one large body is measured. */
export interface LargeImportOptions {
  /** Repeated, each time with other ids, until the body is large enough. */
  readonly documents: readonly BenchDocument[];
  readonly bytes: number;
  readonly nodes: number;
  readonly progress: (text: string) => void;
}

/** What one large body took. */
export interface LargeImportResult {
  readonly bytes: number;
  readonly documents: number;
  readonly seconds: number;
  readonly proxyCpuSeconds: number;
  /** Memory of the proxy in front, and the most of each tenth of the time, in bytes. */
  readonly before: number;
  readonly mostByTenth: readonly number[];
  readonly most: number;
}

const NODE_KEY = "swallowing-node-key-0123456789";
const INDEX = "large";
const CHUNK_BYTES = 64 * 1024;
const SAMPLE_MS = 100;

/**
 * Sends one NDJSON body to a fleet whose nodes drop what they are sent, and watches the proxy's memory meanwhile.
 *
 * @throws Error where the nodes were not sent every document once
 */
export async function benchLargeImport(options: LargeImportOptions): Promise<LargeImportResult> {
  const { nodes, progress } = options;
  const started = new Started();
  try {
    const program = new URL("./swallowing-nodes-main.ts", import.meta.url);
    const { urls } = started.keep(await startChildServer(program, [`${nodes}`, NODE_KEY]));
    const payloadLimitBytes = options.bytes + 1_000_000;
    const fleet = started.keep(
      await startBenchFleet({ nodeUrls: urls, nodeKey: NODE_KEY, payloadLimitBytes }),
    );
    const { taskUid } = await fleet.api.ok<{ taskUid: number }>("POST", "/indexes", {
      uid: INDEX,
      primaryKey: "id",
    });
    await fleet.api.waitForTask(taskUid);
    progress(`sending ${options.bytes} bytes`);
    const result = await send(fleet, options);
    const counts = await Promise.all(
      urls.map((url) => meilisearchHttp(url).ok<Swallowed>("GET", "/swallowed")),
    );
    const taken = counts.reduce((sum, { documents }) => sum + documents, 0);
    if (taken !== result.documents)
      throw new Error(`nodes were sent ${taken} of ${result.documents} documents`);
    return result;
  } finally {
    await started.stop();
  }
}

async function send(
  { proxyPid, url }: BenchFleet,
  { documents, bytes }: LargeImportOptions,
): Promise<LargeImportResult> {
  forgetMost(proxyPid);
  const before = memoryOf(proxyPid).now;
  const cpuBefore = cpuMs(proxyPid);
  const samples: number[] = [];
  const sampling = setInterval(() => samples.push(memoryOf(proxyPid).now), SAMPLE_MS);
  const began = performance.now();
  try {
    const sent = await sendBody(`${url}/indexes/${INDEX}/documents`, documents, bytes);
    const share = Math.max(1, Math.ceil(samples.length / 10));
    const tenths = Array.from({ length: Math.ceil(samples.length / share) }, (_, at) =>
      Math.max(...samples.slice(at * share, (at + 1) * share)),
    );
    return {
      ...sent,
      seconds: (performance.now() - began) / 1_000,
      proxyCpuSeconds: (cpuMs(proxyPid) - cpuBefore) / 1_000,
      before,
      mostByTenth: tenths,
      most: memoryOf(proxyPid).most,
    };
  } finally {
    clearInterval(sampling);
  }
}

/** Sends NDJSON of at least so many bytes, no faster than it is taken; resolves once it is accepted. */
async function sendBody(
  url: string,
  documents: readonly BenchDocument[],
  bytes: number,
): Promise<{ readonly bytes: number; readonly documents: number }> {
  const rests = documents.map(({ id: _id, ...rest }) => JSON.stringify(rest).slice(1));
  const sent = { bytes: 0, documents: 0 };
  function* pieces(): Generator<Buffer> {
    while (sent.bytes < bytes) {
      let text = "";
      while (text.length < CHUNK_BYTES) {
        text += `{"id":${sent.documents},${rests[sent.documents % rests.length]}\n`;
        sent.documents++;
      }
      const piece = Buffer.from(text);
      sent.bytes += piece.length;
      yield piece;
    }
  }
  const { statusCode, body } = await request(url, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: Readable.from(pieces()),
    headersTimeout: 0,
  });
  const text = await body.text();
  if (statusCode !== 202) throw new Error(`the body was answered ${statusCode}: ${text}`);
  return sent;
}
