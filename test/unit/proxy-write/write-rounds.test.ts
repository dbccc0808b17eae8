import { describe, expect, it } from "vitest";
import type { SentWrite, SettledWrite } from "../../../src/proxy/write/index-write.js";
import { type Round, sendRounds } from "../../../src/proxy/write/write-rounds.js";

const ROUNDS: readonly Round[] = [[0], [1], [2]];
const body = { message: "no", code: "bad_request", type: "invalid_request", link: "l" };

function accepted(shard: number, degradedShards: readonly number[] = []): SettledWrite {
  const nodeTasks = [{ nodeId: `node-${shard}`, nodeTaskUid: shard, shards: [shard] }];
  return { kind: "accepted", nodeTasks, degradedShards };
}

/** Answers each round with what is given for it, and keeps the order in which they were sent. */
function sender(answers: readonly SentWrite[]) {
  const sent: Round[] = [];
  const send = async (touched: Round): Promise<SentWrite> => {
    const answer = answers[sent.length];
    sent.push(touched);
    if (answer === undefined) throw new Error("one round too many");
    return answer;
  };
  return { sent, send };
}

describe("a write in rounds", () => {
  it("is accepted with the node tasks of all of them", async () => {
    const { sent, send } = sender([accepted(0, [5]), accepted(1), accepted(2, [4])]);
    expect(await sendRounds(send, ROUNDS)).toMatchObject({
      kind: "accepted",
      nodeTasks: [{ nodeTaskUid: 0 }, { nodeTaskUid: 1 }, { nodeTaskUid: 2 }],
      degradedShards: [4, 5],
    });
    expect(sent).toEqual(ROUNDS);
  });

  it("is not made where the first round is not, and sends no other", async () => {
    const none: SettledWrite = { kind: "not-made", why: "nobody is there", cause: undefined };
    const { sent, send } = sender([none]);
    expect(await sendRounds(send, ROUNDS)).toBe(none);
    expect(sent).toEqual([[0]]);
    expect(await sendRounds(send, [])).toMatchObject({ kind: "not-made" });
  });

  it("is partly made where a later round is refused or finds no node", async () => {
    const refused: SettledWrite = { kind: "refused", status: 400, body, partly: false, nodeTasks: [] };
    const first = sender([accepted(0), refused]);
    expect(await sendRounds(first.send, ROUNDS)).toMatchObject({
      kind: "refused",
      partly: true,
      body,
      nodeTasks: [{ nodeTaskUid: 0 }],
    });
    const second = sender([accepted(0), accepted(1), { kind: "not-made", why: "gone", cause: undefined }]);
    expect(await sendRounds(second.send, ROUNDS)).toMatchObject({
      kind: "refused",
      partly: true,
      body: { code: "miroir_no_quorum" },
      nodeTasks: [{ nodeTaskUid: 0 }, { nodeTaskUid: 1 }],
    });
  });

  it("goes on behind a round that takes long to settle, and only if that was accepted", async () => {
    for (const [outcome, kind, rounds] of [
      [accepted(1), "accepted", 3],
      [{ kind: "lost", cause: new Error("taken over") } as const, "lost", 2],
    ] as const) {
      let settle: (outcome: SettledWrite) => void = () => undefined;
      const settled = new Promise<SettledWrite>((resolve) => {
        settle = resolve;
      });
      const { sent, send } = sender([accepted(0), { kind: "unknown", settled }, accepted(2)]);
      const answer = await sendRounds(send, ROUNDS);
      expect(answer.kind).toBe("unknown");
      expect(sent).toHaveLength(2);
      settle(outcome);
      if (answer.kind === "unknown") expect((await answer.settled).kind).toBe(kind);
      expect(sent).toHaveLength(rounds);
    }
  });
});
