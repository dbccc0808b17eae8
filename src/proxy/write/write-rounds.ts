import type { SentWrite, SettledWrite } from "./index-write.js";
import { noQuorum } from "./refusals.js";

/** What one part of a write touches. */
export type Round = readonly number[] | "all";

/**
 * Sends a write in parts, each when the one before it is settled. What follows a part whose outcome is not known for now goes out
 * behind it, so that nothing else may be sent until the answer is settled. Once a part is accepted, the write is not undone: where a
 * later part cannot be made, it is `refused` and `partly`.
 */
export async function sendRounds(
  send: (touched: Round) => Promise<SentWrite>,
  rounds: readonly Round[],
  before?: SettledWrite,
): Promise<SentWrite> {
  let made = before;
  for (const [at, touched] of rounds.entries()) {
    const earlier = made;
    const sent = await send(touched);
    if (sent.kind === "unknown") {
      const settled = sent.settled.then(async (part) => {
        const sofar = joined(earlier, part);
        if (sofar.kind !== "accepted") return sofar;
        const rest = await sendRounds(send, rounds.slice(at + 1), sofar);
        return rest.kind === "unknown" ? rest.settled : rest;
      });
      return { kind: "unknown", settled };
    }
    made = joined(earlier, sent);
    if (made.kind !== "accepted") break;
  }
  return made ?? { kind: "not-made", why: "no node holds any of its shards", cause: undefined };
}

/** What a write has come to with one more of its parts. */
function joined(made: SettledWrite | undefined, part: SettledWrite): SettledWrite {
  if (made?.kind !== "accepted") return part;
  switch (part.kind) {
    case "accepted":
      return {
        kind: "accepted",
        nodeTasks: [...made.nodeTasks, ...part.nodeTasks],
        degradedShards: [...made.degradedShards, ...part.degradedShards].sort((a, b) => a - b),
      };
    case "refused":
      return { ...part, partly: true, nodeTasks: [...made.nodeTasks, ...part.nodeTasks] };
    case "not-made": {
      const { status, body } = noQuorum(part.why, part.cause === undefined ? {} : { cause: part.cause });
      return { kind: "refused", status, body, partly: true, nodeTasks: made.nodeTasks };
    }
    case "lost":
      return part;
  }
}
