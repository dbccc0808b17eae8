import type { World } from "../../runtime/world.js";
import { ControlRefusedError, type ControlTransport, ControlUnavailableError } from "../control-transport.js";
import { controlAway, controlRefused } from "./refusals.js";

/** Hands out task uids in ascending order. */
export interface TaskUids {
  /** @throws MeilisearchError 503 where none is left and the control plane does not answer */
  take(): Promise<bigint>;
}

interface Block {
  next: bigint;
  readonly end: bigint;
  readonly takenAt: number;
}

/**
 * Task uids from small blocks that the control plane reserves. A new block is asked for before the old one is used up,
 * so that writes go on for a while without a control plane; a block that has grown old is dropped, so that the uids of an idle
 * proxy do not come back long after others were given out.
 */
export function createTaskUids(
  control: ControlTransport,
  session: string,
  world: World,
  options: { readonly block: number; readonly ttlMs: number; readonly timeoutMs: number },
): TaskUids {
  let blocks: Block[] = [];
  let refill: Promise<void> | undefined;

  const allocate = async (): Promise<void> => {
    const answer = await control.allocateTaskUids(
      { count: options.block, session },
      { timeoutMs: options.timeoutMs },
    );
    const count = BigInt(answer.count);
    blocks.push({ next: answer.firstUid, end: answer.firstUid + count, takenAt: world.clock.monotonic() });
  };
  const refillOnce = (): Promise<void> => {
    refill ??= allocate().finally(() => {
      refill = undefined;
    });
    return refill;
  };
  const left = (): bigint => blocks.reduce((sum, block) => sum + (block.end - block.next), 0n);
  const takeNow = (): bigint | undefined => {
    blocks = blocks.filter((block) => block.next < block.end);
    const [block] = blocks;
    if (block === undefined) return undefined;
    const uid = block.next;
    block.next += 1n;
    return uid;
  };
  const fresh = (): boolean => {
    const now = world.clock.monotonic();
    return blocks.some((block) => block.next < block.end && now - block.takenAt < options.ttlMs);
  };

  return {
    async take() {
      if (!fresh()) {
        const old = blocks;
        try {
          blocks = [];
          await refillOnce();
        } catch (error) {
          // Old uids are better than no writes while the control plane is away.
          blocks = [...old, ...blocks];
          if (left() === 0n) throw uidRefusal(error);
        }
      }
      for (;;) {
        const uid = takeNow();
        if (uid === undefined) {
          try {
            await refillOnce();
          } catch (error) {
            throw uidRefusal(error);
          }
          continue;
        }
        if (left() < BigInt(options.block) / 2n) {
          // What it finds is used later; that it failed shows when the uids run out.
          refillOnce().catch(() => undefined);
        }
        return uid;
      }
    },
  };
}

function uidRefusal(error: unknown): unknown {
  if (error instanceof ControlUnavailableError) return controlAway("a task uid", error);
  if (error instanceof ControlRefusedError) return controlRefused("a task uid", error);
  return error;
}
