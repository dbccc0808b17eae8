import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";

/** One request that a {@link WebhookReceiver} got. */
export interface ReceivedRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The lines of the body, unpacked. */
  readonly lines: readonly string[];
}

/** An HTTP server that webhooks call. */
export interface WebhookReceiver {
  readonly url: string;
  readonly requests: readonly ReceivedRequest[];
  /** Gives the status of the next answers; 200 unless set. */
  answer: (request: ReceivedRequest) => number;
  /** All events that came to a path and were taken, as JSON texts, in order. */
  events(path: string): readonly string[];
  close(): Promise<void>;
}

/** Listens on loopback, on a free port. */
export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const requests: ReceivedRequest[] = [];
  const taken: ReceivedRequest[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const text = gunzipSync(Buffer.concat(chunks)).toString("utf8");
      const seen = { path: request.url ?? "", headers: request.headers, lines: text.trimEnd().split("\n") };
      const status = receiver.answer(seen);
      requests.push(seen);
      if (status === 200) taken.push(seen);
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const receiver: WebhookReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    answer: () => 200,
    events: (path) => taken.filter((seen) => seen.path === path).flatMap(({ lines }) => lines),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return receiver;
}
