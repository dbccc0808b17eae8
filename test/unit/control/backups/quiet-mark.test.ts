import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { isUnchangedBetween, quietMark } from "../../../../src/control/backups/quiet-mark.js";
import { createNodeClient } from "../../../../src/meilisearch/node-client.js";
import { NodeUnavailableError } from "../../../../src/meilisearch/transport.js";

interface Task {
  readonly uid: number;
  readonly type: string;
  readonly status: string;
}

const done = (uid: number, type = "documentAdditionOrUpdate"): Task => ({ uid, type, status: "succeeded" });

/** The mark of nodes with these tasks; a node without a list does not answer. */
function markOf(nodes: Readonly<Record<string, readonly Task[] | undefined>>) {
  const admin = (id: string) =>
    createNodeClient(
      {
        async request(node, { path }) {
          const all = nodes[id];
          if (all === undefined) throw new NodeUnavailableError(node.id, "not-sent", "it is away");
          const statuses = new URL(path, "http://node").searchParams.get("statuses")?.split(",");
          const results = all
            .filter(({ status }) => statuses === undefined || statuses.includes(status))
            .sort((a, b) => b.uid - a.uid);
          const body = Buffer.from(JSON.stringify({ results, total: results.length }));
          return { status: 200, contentType: "application/json", body };
        },
        async close() {},
      },
      { id, url: `http://${id}` },
    );
  return quietMark(Object.keys(nodes), { admin, logger: pino({ level: "silent" }) });
}

async function isQuiet(before: Parameters<typeof markOf>[0], after: Parameters<typeof markOf>[0]) {
  return isUnchangedBetween(await markOf(before), await markOf(after));
}

describe("what is read of nodes is of one moment", () => {
  it("when they got nothing to do", async () => {
    expect(await isQuiet({ a: [done(4)], b: [] }, { a: [done(4)], b: [] })).toBe(true);
  });

  it("when they made snapshots and pruned finished tasks meanwhile", async () => {
    const after = [done(5, "snapshotCreation"), { uid: 6, type: "taskDeletion", status: "enqueued" }];
    expect(await isQuiet({ a: [done(3), done(4)] }, { a: [done(3), ...after] })).toBe(true);
    expect(await isQuiet({ a: [done(3), done(4)] }, { a: after })).toBe(true);
  });

  it("not when one of them was written to", async () => {
    expect(await isQuiet({ a: [done(4)], b: [done(1)] }, { a: [done(4)], b: [done(1), done(2)] })).toBe(
      false,
    );
  });

  it("not when one of them has work left", async () => {
    const busy = [done(4), { uid: 3, type: "settingsUpdate", status: "processing" }];
    expect(await isQuiet({ a: busy }, { a: busy })).toBe(false);
  });

  it("not when one of them does not say", async () => {
    expect(await isQuiet({ a: [done(4)], b: [] }, { a: [done(4)], b: undefined })).toBe(false);
  });

  it("not when there is another node", async () => {
    expect(await isQuiet({ a: [done(4)] }, { a: [done(4)], b: [] })).toBe(false);
    expect(await isQuiet({ a: [done(4)] }, { b: [] })).toBe(false);
  });
});
