import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type CdcOverflowEvent,
  type CdcOverflowStats,
  FencedError,
  type FencingToken,
  InvalidArgumentError,
  type SinkName,
  StoreCorruptError,
  sinkName,
  type TaskStore,
} from "../../../../src/store/task-store.js";
import { damage } from "../damage.js";
import { lead, type StoreFactory, type StoreHarness } from "../harness.js";
import { awkwardIds, call, runCommands } from "../random-commands.js";

const kafka = sinkName("kafka");
const mebibyte = 1024 * 1024;

export function describeCdcOverflow(factory: StoreFactory): void {
  describe("overflow of change data capture", () => {
    let harness: StoreHarness;
    let store: TaskStore;
    let other: TaskStore;
    let fence: FencingToken;

    beforeEach(async () => {
      harness = await factory();
      store = await harness.open();
      other = await harness.open();
      fence = await lead(store);
    });
    afterEach(() => harness.dispose());

    const open = (cdcOverflowBytes: number) => harness.open({ cdcOverflowBytes });
    const bytes = (...values: number[]) => Uint8Array.from(values);
    const filled = (length: number, value = 7) => new Uint8Array(length).fill(value);
    const positions = (events: readonly CdcOverflowEvent[]) => events.map((event) => event.position);

    it("gives every byte back, in order, also after a restart", async () => {
      const every = Uint8Array.from({ length: 256 }, (_, value) => value);
      const single = [...every].map((value) => bytes(value));
      const odd = [bytes(), bytes(0xff, 0xfe), bytes(13, 10, 36, 48), bytes(0, 0, 0), every.toReversed()];
      // A view into a larger buffer is only what it shows.
      const view = every.subarray(40, 50);
      const payloads = [...single, every, ...odd, view, Buffer.from("é\u{1f600}")];
      const stats = await store.cdcOverflow.append(kafka, payloads, fence);
      const total = payloads.reduce((sum, payload) => sum + payload.length, 0);
      expect(stats).toEqual({ events: payloads.length, bytes: total, droppedEvents: 0, droppedBytes: 0 });
      await store.close();
      const again = await harness.open();
      const events = await again.cdcOverflow.peek(kafka, 10_000);
      expect(events).toEqual(
        payloads.map((payload, at) => ({ position: at + 1, payload: Uint8Array.from(payload) })),
      );
      expect(await again.cdcOverflow.stats(kafka)).toEqual(stats);
      // What is returned is the caller's to change.
      events[0]?.payload.fill(99);
      expect((await again.cdcOverflow.peek(kafka, 1))[0]?.payload).toEqual(bytes(0));
    });

    it("is empty, and all zero, for a sink that was never used", async () => {
      const zero = { events: 0, bytes: 0, droppedEvents: 0, droppedBytes: 0 };
      expect(await store.cdcOverflow.stats(kafka)).toEqual(zero);
      expect(await store.cdcOverflow.peek(kafka)).toEqual([]);
      expect(await store.cdcOverflow.acknowledge(kafka, 7, fence)).toBe(0);
      expect(await store.cdcOverflow.append(kafka, [], fence)).toEqual(zero);
      expect(await store.cdcOverflow.stats(kafka)).toEqual(zero);
      expect(positions(await store.cdcOverflow.peek(kafka))).toEqual([]);
    });

    it("drops the oldest to stay below its limit, and counts them", async () => {
      const small = await open(10);
      await small.cdcOverflow.append(kafka, [filled(4), filled(3)], fence);
      expect(await small.cdcOverflow.append(kafka, [filled(3)], fence)).toMatchObject({
        events: 3,
        bytes: 10,
        droppedEvents: 0,
      });
      expect(await small.cdcOverflow.append(kafka, [filled(5)], fence)).toEqual({
        events: 2,
        bytes: 8,
        droppedEvents: 2,
        droppedBytes: 7,
      });
      expect(positions(await small.cdcOverflow.peek(kafka))).toEqual([3, 4]);
      // Within one call too.
      expect(await small.cdcOverflow.append(kafka, [filled(6), filled(6), filled(1)], fence)).toEqual({
        events: 2,
        bytes: 7,
        droppedEvents: 5,
        droppedBytes: 21,
      });
      expect(positions(await small.cdcOverflow.peek(kafka))).toEqual([6, 7]);
      // A lower limit takes effect with the next event.
      const smaller = await open(3);
      expect(await smaller.cdcOverflow.append(kafka, [filled(1)], fence)).toMatchObject({
        events: 2,
        bytes: 2,
        droppedEvents: 6,
      });
    });

    it("drops an event above the limit, and everything before it", async () => {
      const small = await open(5);
      await small.cdcOverflow.append(kafka, [filled(1), bytes(), filled(2)], fence);
      expect(await small.cdcOverflow.append(kafka, [filled(1), filled(6), filled(4, 9)], fence)).toEqual({
        events: 1,
        bytes: 4,
        droppedEvents: 5,
        droppedBytes: 10,
      });
      expect(await small.cdcOverflow.peek(kafka)).toEqual([{ position: 6, payload: filled(4, 9) }]);
      expect(await small.cdcOverflow.append(kafka, [filled(6)], fence)).toEqual({
        events: 0,
        bytes: 0,
        droppedEvents: 7,
        droppedBytes: 20,
      });
      expect(await small.cdcOverflow.peek(kafka)).toEqual([]);
      await small.cdcOverflow.append(kafka, [filled(5)], fence);
      expect(positions(await small.cdcOverflow.peek(kafka))).toEqual([8]);
      // With the lowest limit, hardly anything but empty events fits.
      const one = await open(1);
      expect(await one.cdcOverflow.append(kafka, [filled(2), bytes(), filled(1), bytes()], fence)).toEqual({
        events: 3,
        bytes: 1,
        droppedEvents: 9,
        droppedBytes: 27,
      });
      expect(positions(await one.cdcOverflow.peek(kafka))).toEqual([10, 11, 12]);
    });

    it("gives up what is acknowledged, once, and never a position twice", async () => {
      const append = (...payloads: Uint8Array[]) => store.cdcOverflow.append(kafka, payloads, fence);
      await append(filled(1), filled(2), filled(3));
      expect(await other.cdcOverflow.acknowledge(kafka, 2, fence)).toBe(2);
      expect(await other.cdcOverflow.acknowledge(kafka, 2, fence)).toBe(0);
      expect(await other.cdcOverflow.acknowledge(kafka, 0, fence)).toBe(0);
      expect(await store.cdcOverflow.stats(kafka)).toEqual({
        events: 1,
        bytes: 3,
        droppedEvents: 0,
        droppedBytes: 0,
      });
      // What is not given yet is not acknowledged in advance.
      expect(await other.cdcOverflow.acknowledge(kafka, Number.MAX_SAFE_INTEGER, fence)).toBe(1);
      expect(await store.cdcOverflow.stats(kafka)).toMatchObject({ events: 0, bytes: 0 });
      await append(filled(4));
      expect(await store.cdcOverflow.peek(kafka)).toEqual([{ position: 4, payload: filled(4) }]);
      await store.close();
      const again = await harness.open();
      expect(await again.cdcOverflow.acknowledge(kafka, 4, fence)).toBe(1);
      await again.cdcOverflow.append(kafka, [bytes()], fence);
      expect(positions(await again.cdcOverflow.peek(kafka))).toEqual([5]);
    });

    it("keeps sinks apart, whatever their names", async () => {
      const sinks = [...awkwardIds, "_events:a", "_offsets:a"].map(sinkName);
      for (const [at, sink] of sinks.entries()) {
        await store.cdcOverflow.append(sink, [filled(at)], fence);
      }
      for (const [at, sink] of sinks.entries()) {
        expect(await other.cdcOverflow.peek(sink)).toEqual([{ position: 1, payload: filled(at) }]);
      }
    });

    it("takes ten thousand events, or 64 MiB, in a call", { timeout: 60_000 }, async () => {
      const many = Array.from({ length: 10_000 }, (_, n) => bytes(n % 256, n >> 8));
      await store.cdcOverflow.append(kafka, many, fence);
      const found = await other.cdcOverflow.peek(kafka, 10_000);
      expect(positions(found)).toEqual(many.map((_, at) => at + 1));
      expect(Buffer.concat(found.map((event) => event.payload))).toEqual(Buffer.concat(many));
      expect(await other.cdcOverflow.peek(kafka)).toEqual(found.slice(0, 100));

      const whole = filled(64 * mebibyte, 0xe9);
      whole[1] = 0;
      expect(await store.cdcOverflow.append(kafka, [whole], fence)).toMatchObject({
        events: 10_001,
        bytes: 20_000 + whole.length,
      });
      expect(await store.cdcOverflow.acknowledge(kafka, 10_000, fence)).toBe(10_000);
      const [event] = await other.cdcOverflow.peek(kafka);
      expect(event?.position).toBe(10_001);
      expect(Buffer.compare(event?.payload ?? bytes(), whole)).toBe(0);
      // In an answer too: more than that comes with the next one.
      await store.cdcOverflow.append(kafka, [bytes(1)], fence);
      expect(positions(await other.cdcOverflow.peek(kafka))).toEqual([10_001]);

      // Together with others it does not fit under a lower limit.
      const small = await open(64 * mebibyte);
      const parts = Array.from({ length: 64 }, () => filled(mebibyte));
      expect(await small.cdcOverflow.append(kafka, parts, fence)).toEqual({
        events: 64,
        bytes: 64 * mebibyte,
        droppedEvents: 2,
        droppedBytes: 64 * mebibyte + 1,
      });
      const tiny = await open(mebibyte);
      expect(await tiny.cdcOverflow.append(kafka, [whole], fence)).toMatchObject({ events: 0, bytes: 0 });
    });

    it("refuses larger calls, and what is no payload", async () => {
      const tooMany = Array.from({ length: 10_001 }, () => bytes());
      const half = filled(32 * mebibyte);
      for (const payloads of [tooMany, [half, half, bytes(1)], ["text" as unknown as Uint8Array]]) {
        await expect(store.cdcOverflow.append(kafka, payloads, fence)).rejects.toBeInstanceOf(
          InvalidArgumentError,
        );
      }
      for (const limit of [0, -1, 1.5, 10_001]) {
        await expect(store.cdcOverflow.peek(kafka, limit)).rejects.toBeInstanceOf(InvalidArgumentError);
      }
      for (const position of [-1, 0.5, 2 ** 53, Number.NaN]) {
        await expect(store.cdcOverflow.acknowledge(kafka, position, fence)).rejects.toBeInstanceOf(
          InvalidArgumentError,
        );
      }
      expect(await store.cdcOverflow.stats(kafka)).toMatchObject({ events: 0 });
    });

    it("drops very many small events for a large one at once", { timeout: 60_000 }, async () => {
      const small = await open(mebibyte);
      const tiny = Array.from({ length: 10_000 }, (_, n) => bytes(n % 256));
      for (let n = 0; n < 10; n++) await small.cdcOverflow.append(kafka, tiny, fence);
      const size = mebibyte - 1_234;
      expect(await small.cdcOverflow.append(kafka, [filled(size)], fence)).toEqual({
        events: 1_235,
        bytes: mebibyte,
        droppedEvents: 98_766,
        droppedBytes: 98_766,
      });
      const rest = await small.cdcOverflow.peek(kafka, 10_000);
      expect(positions(rest)).toEqual(Array.from({ length: 1_235 }, (_, n) => 98_767 + n));
      expect(rest[0]?.payload).toEqual(bytes((98_766 % 10_000) % 256));
    });

    it("keeps each call whole where two append at once", async () => {
      const payload = (who: number, call: number, n: number) => bytes(who, call, n);
      await Promise.all(
        Array.from({ length: 40 }, (_, call) =>
          (call % 2 === 0 ? store : other).cdcOverflow.append(
            kafka,
            [0, 1, 2].map((n) => payload(call % 2, call, n)),
            fence,
          ),
        ),
      );
      const events = await other.cdcOverflow.peek(kafka, 1_000);
      expect(positions(events)).toEqual(Array.from({ length: 120 }, (_, n) => n + 1));
      for (let at = 0; at < 120; at += 3) {
        const [who = 0, call = 0] = events[at]?.payload ?? [];
        const together = events.slice(at, at + 3).map((event) => event.payload);
        expect(together).toEqual([0, 1, 2].map((n) => payload(who, call, n)));
      }
    });

    it("is written by the leader alone", async () => {
      await store.cdcOverflow.append(kafka, [filled(3)], fence);
      harness.clock.advance(60_000);
      await lead(other, "control-2");
      await expect(store.cdcOverflow.append(kafka, [filled(1)], fence)).rejects.toBeInstanceOf(FencedError);
      await expect(store.cdcOverflow.append(kafka, [], fence)).rejects.toBeInstanceOf(FencedError);
      await expect(store.cdcOverflow.acknowledge(kafka, 1, fence)).rejects.toBeInstanceOf(FencedError);
      expect(positions(await other.cdcOverflow.peek(kafka))).toEqual([1]);
    });

    it("is reported where something else has written it", async () => {
      const spoils = [
        {
          sqlite: "DELETE FROM cdc_overflow WHERE position = 2",
          redis: [["RPUSH", ":cdc_overflow:_events:S", "more"]],
        },
        {
          sqlite: "UPDATE cdc_sinks SET events = -1",
          redis: [["HSET", ":cdc_overflow:S", "events", "-1"]],
        },
        {
          sqlite: "UPDATE cdc_sinks SET next_position = 9007199254740993",
          redis: [["HDEL", ":cdc_overflow:S", "next_position"]],
        },
        {
          sqlite: "DELETE FROM cdc_overflow",
          redis: [
            ["DEL", ":cdc_overflow:_events:S"],
            ["SET", ":cdc_overflow:_events:S", "x"],
          ],
        },
      ];
      for (const [at, { sqlite, redis }] of spoils.entries()) {
        const sink = sinkName(`sink${at}`);
        await store.cdcOverflow.append(sink, [filled(1), filled(2), filled(3)], fence);
        await damage(harness.spec, {
          sqlite,
          redis: redis.map((command) => command.map((part) => part.replace(/S$/, `sink${at}`))),
        });
        await expect(store.cdcOverflow.peek(sink), `${at}`).rejects.toBeInstanceOf(StoreCorruptError);
        const acknowledged = store.cdcOverflow.acknowledge(sink, 3, fence);
        await expect(acknowledged, `${at}`).rejects.toBeInstanceOf(StoreCorruptError);
      }
      expect(await store.cdcOverflow.stats(sinkName("new"))).toMatchObject({ events: 0 });
    });

    it("answers any sequence of calls as a model does", { timeout: 60_000 }, async () => {
      const stores = [await open(40), await open(40)] as const;
      const sizes = fc.array(fc.oneof(fc.nat({ max: 12 }), fc.nat({ max: 45 })), { maxLength: 5 });
      const append = call<OverflowModel, number[]>("append", sizes, async (model, to, lengths) => {
        const payloads = lengths.map((length) => filled(length, model.appended++ % 256));
        const stats = await to.cdcOverflow.append(model.sink, payloads, fence);
        for (const payload of payloads) model.append(payload);
        expect(stats).toEqual(model.stats());
      });
      const commands = [
        append,
        append,
        call<OverflowModel, number>("peek", fc.integer({ min: 1, max: 6 }), async (model, to, limit) => {
          expect(await to.cdcOverflow.peek(model.sink, limit)).toEqual(model.events.slice(0, limit));
        }),
        call<OverflowModel, number>(
          "acknowledge",
          fc.integer({ min: -2, max: 6 }),
          async (model, to, offset) => {
            const position = Math.max(0, (model.events[0]?.position ?? model.next) + offset);
            const taken = await to.cdcOverflow.acknowledge(model.sink, position, fence);
            expect(taken).toBe(model.acknowledge(position));
          },
        ),
        call<OverflowModel, null>("stats", fc.constant(null), async (model, to) => {
          expect(await to.cdcOverflow.stats(model.sink)).toEqual(model.stats());
        }),
      ];
      let runs = 0;
      await runCommands(commands, { stores, fence, clock: harness.clock }, async () => {
        runs++;
        return new OverflowModel(sinkName(`sink ${runs}`), 40);
      });
    });
  });
}

/** An overflow in memory, one event at a time. */
class OverflowModel {
  events: CdcOverflowEvent[] = [];
  next = 1;
  appended = 0;
  #droppedEvents = 0;
  #droppedBytes = 0;

  constructor(
    readonly sink: SinkName,
    readonly limit: number,
  ) {}

  append(payload: Uint8Array): void {
    this.events.push({ position: this.next++, payload });
    while (this.stats().bytes > this.limit) {
      const [oldest] = this.events.splice(0, 1);
      this.#droppedEvents++;
      this.#droppedBytes += oldest?.payload.length ?? 0;
    }
  }

  acknowledge(position: number): number {
    const before = this.events.length;
    this.events = this.events.filter((event) => event.position > position);
    return before - this.events.length;
  }

  stats(): CdcOverflowStats {
    return {
      events: this.events.length,
      bytes: this.events.reduce((sum, event) => sum + event.payload.length, 0),
      droppedEvents: this.#droppedEvents,
      droppedBytes: this.#droppedBytes,
    };
  }
}
