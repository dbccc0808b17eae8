// A program: what a proxy is compared with. `relay <node>` passes requests and answers on as they are; `naive <index> <node> …` asks every
// node, parses the answers, merges the hits as objects and prints them. Prints its URL as a JSON array.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Agent, request } from "undici";

const [kind, ...rest] = process.argv.slice(2);
const dispatcher = new Agent({ connections: 128, pipelining: 1 });

const handle = kind === "naive" ? naive(rest[0] ?? "", rest.slice(1)) : relay(rest[0] ?? "");
const server = createServer((incoming, outgoing) => {
  handle(incoming, outgoing).catch((error: unknown) => outgoing.destroy(error as Error));
});
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${JSON.stringify([`http://127.0.0.1:${(server.address() as AddressInfo).port}`])}\n`);
});
process.stdin.on("end", () => process.exit(0)).resume();

type Handle = (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>;

function relay(target: string): Handle {
  return async (incoming, outgoing) => {
    const answer = await request(target + incoming.url, {
      dispatcher,
      method: incoming.method as "POST",
      headers: headersOf(incoming),
      body: incoming,
    });
    outgoing.writeHead(answer.statusCode, answer.headers);
    answer.body.pipe(outgoing);
  };
}

function naive(index: string, targets: readonly string[]): Handle {
  return async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const query = JSON.parse(Buffer.concat(chunks).toString()) as { offset?: number; limit?: number };
    const { offset = 0, limit = 20 } = query;
    const body = JSON.stringify({
      ...query,
      offset: 0,
      limit: offset + limit,
      showRankingScoreDetails: true,
    });
    const headers = { ...headersOf(incoming), "content-length": String(Buffer.byteLength(body)) };
    const answers = await Promise.all(
      targets.map(async (target) => {
        const path = `${target}/indexes/${index}/search`;
        const answer = await request(path, { dispatcher, method: "POST", headers, body });
        return (await answer.body.json()) as Answer;
      }),
    );
    const hits = answers.flatMap((answer) => answer.hits).sort(byScore);
    const merged = {
      ...answers[0],
      hits: hits.slice(offset, offset + limit).map(clientHit),
      offset,
      limit,
      estimatedTotalHits: answers.reduce((sum, answer) => sum + answer.estimatedTotalHits, 0),
    };
    const text = JSON.stringify(merged);
    outgoing.writeHead(200, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(text),
    });
    outgoing.end(text);
  };
}

interface Answer {
  readonly hits: readonly Hit[];
  readonly estimatedTotalHits: number;
}

interface Hit {
  readonly _rankingScoreDetails: Readonly<
    Record<string, { readonly order: number; readonly score?: number; readonly value?: string }>
  >;
}

/** Good enough for searches whose nodes rank by the same rules: by each rule's score, then by the value of the last one. */
function byScore(a: Hit, b: Hit): number {
  const right = b._rankingScoreDetails;
  for (const [name, rule] of Object.entries(a._rankingScoreDetails)) {
    const other = right[name];
    const difference = (other?.score ?? 0) - (rule.score ?? 0);
    if (difference !== 0) return difference;
    if (rule.value !== undefined && other?.value !== undefined && rule.value !== other.value)
      return rule.value < other.value ? -1 : 1;
  }
  return 0;
}

function clientHit({ _rankingScoreDetails, ...hit }: Hit): object {
  return Object.fromEntries(Object.entries(hit).filter(([name]) => !name.startsWith("_miroir_")));
}

function headersOf({ headers }: IncomingMessage): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const name of ["authorization", "content-type", "content-length"] as const) {
    const value = headers[name];
    if (value !== undefined) passed[name] = value;
  }
  return passed;
}
