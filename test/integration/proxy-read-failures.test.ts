import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ReadFleet, startReadFleet } from "./proxy-read-fleet.js";

const WORDS = ["river", "stone", "amber", "winter", "harbour", "lantern", "orchard"];

function documents(): string[] {
  return Array.from({ length: 400 }, (_, at) =>
    JSON.stringify({ id: at, title: `${WORDS[at % 7]} ${WORDS[(at * 3) % 7]}`, year: 1950 + (at % 50) }),
  );
}

describe("reads while nodes fail, with two copies of everything", () => {
  let fleet: ReadFleet;

  beforeAll(async () => {
    fleet = await startReadFleet({ groups: 1, nodesPerGroup: 3, replicationFactor: 2, shards: 12 }, [
      {
        uid: "books",
        primaryKey: "id",
        settings: { sortableAttributes: ["year"], filterableAttributes: ["year"] },
        documents: documents(),
      },
    ]);
  }, 120_000);
  afterAll(() => fleet?.stop());

  /** Reads of every kind, by a few clients at once, while `disturb` runs; what went wrong, and the longest wait. */
  async function readDuring(
    disturb: () => Promise<void>,
  ): Promise<{ faults: string[]; reads: number; slowestMs: number }> {
    const faults: string[] = [];
    let reads = 0;
    let slowestMs = 0;
    let isOver = false;
    const client = async (number: number): Promise<void> => {
      for (let turn = number; !isOver; turn++) {
        const started = performance.now();
        const word = WORDS[turn % 7];
        const answer =
          turn % 3 === 0
            ? await fleet.proxy.send("GET", `/indexes/books/documents/${turn % 400}`)
            : turn % 3 === 1
              ? await fleet.proxy.send("GET", "/indexes/books/documents?limit=5&offset=100")
              : await fleet.proxy.send("POST", "/indexes/books/search", { q: word, sort: ["year:asc"] });
        reads++;
        slowestMs = Math.max(slowestMs, performance.now() - started);
        if (answer.status !== 200 || answer.headers["x-miroir-degraded"] !== undefined) {
          faults.push(`${answer.status} ${answer.text.slice(0, 200)}`);
        }
      }
    };
    const clients = Array.from({ length: 4 }, (_, number) => client(number));
    await disturb();
    isOver = true;
    await Promise.all(clients);
    return { faults, reads, slowestMs };
  }

  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

  it("go on when a node is stopped and when it goes on again", async () => {
    const node = fleet.nodes.nodes[1];
    const { faults, reads, slowestMs } = await readDuring(async () => {
      await pause(300);
      await node?.kill("SIGSTOP");
      await pause(3_000);
      await node?.kill("SIGCONT");
      await pause(2_500);
    });
    expect(faults).toEqual([]);
    expect(reads).toBeGreaterThan(100);
    expect(slowestMs).toBeLessThan(2_500);
  });

  it("go on when a node is killed and started again", async () => {
    const node = fleet.nodes.nodes[2];
    const { faults, reads, slowestMs } = await readDuring(async () => {
      await pause(300);
      await node?.kill("SIGKILL");
      await pause(2_000);
      await node?.restart();
      await pause(2_500);
    });
    expect(faults).toEqual([]);
    expect(reads).toBeGreaterThan(100);
    expect(slowestMs).toBeLessThan(2_500);
  });
});
