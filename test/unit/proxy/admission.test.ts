import { describe, expect, it } from "vitest";
import { MeilisearchError } from "../../../src/meilisearch/errors.js";
import { overloaded } from "../../../src/proxy/http/api-errors.js";
import { createAdmission } from "../../../src/proxy/read/admission.js";

const signal = new AbortController().signal;

describe("admission", () => {
  it("runs some, queues some in order, and turns the rest away", async () => {
    const admission = createAdmission(2, 2, () => overloaded(4));
    const order: number[] = [];
    const ends: (() => void)[] = [];
    const work = (id: number) => () => {
      order.push(id);
      return new Promise<number>((resolve) => ends.push(() => resolve(id)));
    };
    const runs = [1, 2, 3, 4].map((id) => admission.run(signal, work(id)));
    await expect(admission.run(signal, work(5))).rejects.toBeInstanceOf(MeilisearchError);
    expect(order).toEqual([1, 2]);
    for (let done = 0; done < 4; done++) {
      ends[done]?.();
      await runs[done];
      await Promise.resolve();
    }
    expect(order).toEqual([1, 2, 3, 4]);
    expect({ running: admission.running, waiting: admission.waiting }).toEqual({ running: 0, waiting: 0 });
  });

  it("gives the place of a waiter that went away to the next one", async () => {
    const admission = createAdmission(1, 1, () => overloaded(2));
    let end = (): void => {};
    const first = admission.run(signal, () => new Promise<void>((resolve) => (end = resolve)));
    const gone = new AbortController();
    const waiting = admission.run(gone.signal, async () => "never");
    gone.abort(new Error("gone"));
    await expect(waiting).rejects.toThrow("gone");
    const next = admission.run(signal, async () => "next");
    end();
    await first;
    expect(await next).toBe("next");
  });

  it("frees the place of work that fails", async () => {
    const admission = createAdmission(1, 0, () => overloaded(1));
    await expect(
      admission.run(signal, async () => {
        throw new Error("broken");
      }),
    ).rejects.toThrow("broken");
    expect(await admission.run(signal, async () => "again")).toBe("again");
  });
});
