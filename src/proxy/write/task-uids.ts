import type { World } from "../../runtime/world.js";
import { ControlRefusedError, type ControlTransport, ControlUnavailableError } from "../control-transport.js";
import { controlAway, controlRefused } from "./refusals.js";

/** Hands out task uids in ascending order. */
export interface TaskUids {
  /** @throws MeilisearchError 503 where none is left and the control plane does not answer */
  take(): Promise<bigint>;
  /** Drops what is reserved: the next uid is above all that any proxy has reserved so far. */
  renew(): void;
}

interface Block {
  next: bigint;
  readonly end: bigint;
  reservedAt: number;
}

const MAX_BLOCK = 2_000;
/** Milliseconds of writing at the present rate that a block is to last: longer than a lease outlives the control plane. */
const COVERED_MS = 6_000;

/**
 * Task uids from small blocks that the control plane reserves, larger the faster they are used. A new block is asked for before
 * the old one is used up, so that writes go on for a while without a control plane; a block that has grown old is dropped where others have
 * reserved uids since, so that the uids of an idle proxy do not come back long after those.
 *
 * @param options.block uids of the smallest block
 * @param options.ttlMs age at which a block is dropped, as long as the control plane gives another one
 */
export function createTaskUids(
  control: ControlTransport,
  session: string,
  world: World,
  options: { readonly block: number; readonly ttlMs: number; readonly timeoutMs: number },
): TaskUids {
  let blocks: Block[] = [];
  let refill: Promise<void> | undefined;
  let size = options.block;
  let reservedAt = Number.NEGATIVE_INFINITY;
  let taken = 0;

  const left = (): number => blocks.reduce((sum, block) => sum + Number(block.end - block.next), 0);
  /** A whole block, or what is missing to one. */
  const reserve = async (kind: "whole" | "missing"): Promise<void> => {
    const now = world.clock.monotonic();
    const perMs = taken / Math.max(1, now - reservedAt);
    size = Math.min(MAX_BLOCK, Math.max(options.block, Math.ceil(perMs * COVERED_MS)));
    const count = kind === "whole" ? size : Math.max(1, size - left());
    const answer = await control.allocateTaskUids({ count, session }, { timeoutMs: options.timeoutMs });
    taken = 0;
    reservedAt = now;
    blocks.push({ next: answer.firstUid, end: answer.firstUid + BigInt(answer.count), reservedAt: now });
  };
  const reserveOnce = (kind: "whole" | "missing" = "whole"): Promise<void> => {
    refill ??= reserve(kind).finally(() => {
      refill = undefined;
    });
    return refill;
  };
  const takeNow = (): bigint | undefined => {
    blocks = blocks.filter((block) => block.next < block.end);
    const [block] = blocks;
    if (block === undefined) return undefined;
    const uid = block.next;
    block.next += 1n;
    taken++;
    return uid;
  };
  /** Whether nobody has reserved uids between this block and the newest one. */
  const isNewest = (at: number): boolean => {
    const [block, following] = [blocks[at], blocks[at + 1]];
    return following === undefined || (block?.end === following.next && isNewest(at + 1));
  };
  /** Exchanges old uids for new ones, unless nothing lies in between; while the control plane is away, old ones are better than no writes. */
  const dropOld = async (): Promise<void> => {
    const now = world.clock.monotonic();
    const isOld = (block: Block) => now - block.reservedAt >= options.ttlMs;
    if (!blocks.some(isOld)) return;
    if (!blocks.some((block) => !isOld(block))) {
      try {
        await reserveOnce("missing");
      } catch (error) {
        if (left() === 0) throw refused(error);
        return;
      }
    }
    blocks = blocks.filter((block, at) => !isOld(block) || isNewest(at));
    for (const block of blocks) block.reservedAt = Math.max(block.reservedAt, reservedAt);
  };

  return {
    renew() {
      blocks = [];
    },
    async take() {
      await dropOld();
      for (;;) {
        const uid = takeNow();
        if (uid === undefined) {
          try {
            await reserveOnce();
          } catch (error) {
            throw refused(error);
          }
          continue;
        }
        // What it brings is used later; that it failed shows when the uids run out.
        if (left() < size / 2) reserveOnce().catch(() => undefined);
        return uid;
      }
    },
  };
}

function refused(error: unknown): unknown {
  if (error instanceof ControlUnavailableError) return controlAway("a task uid", error);
  if (error instanceof ControlRefusedError) return controlRefused("a task uid", error);
  return error;
}
