import { describe, expect, it } from "vitest";
import { parseFaults } from "../../chaos-harness/run-options.js";
import { drawSchedule, FAULT_KINDS, type ScheduleOptions } from "../../chaos-harness/schedule.js";

const options: ScheduleOptions = {
  seed: 7,
  durationMs: 600_000,
  kinds: FAULT_KINDS,
  links: ["clients-proxy-0", "proxy-0-node-1"],
  processes: ["node-0", "proxy-0", "control-0"],
  clocks: ["proxy-0", "control-0"],
};

describe("a schedule of faults", () => {
  it("follows from the seed alone", () => {
    expect(drawSchedule(options)).toEqual(drawSchedule({ ...options }));
    expect(drawSchedule({ ...options, seed: 8 })).not.toEqual(drawSchedule(options));
  });

  it("comes in order of time, with quiet at both ends, and names only what there is", () => {
    const schedule = drawSchedule(options);
    const times = schedule.map(({ at }) => at);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(times[0]).toBeGreaterThanOrEqual(2_000);
    expect(times.at(-1)).toBeLessThan(598_000);
    for (const fault of schedule) {
      if (fault.kind === "link") expect(options.links).toContain(fault.link);
      if (fault.kind === "kill" || fault.kind === "pause") expect(options.processes).toContain(fault.process);
      if (fault.kind === "clock") expect(options.clocks).toContain(fault.process);
    }
  });

  it("holds every kind that is asked for, and no other", () => {
    const kindsIn = (kinds: ScheduleOptions["kinds"]) =>
      new Set(
        drawSchedule({ ...options, kinds }).map((fault) =>
          fault.kind === "link" ? fault.fault.kind : fault.kind,
        ),
      );
    expect([...kindsIn(FAULT_KINDS)].sort()).toEqual([...FAULT_KINDS].sort());
    expect([...kindsIn(parseFaults("kill,reset"))].sort()).toEqual(["kill", "reset"]);
    expect(kindsIn(parseFaults("none")).size).toBe(0);
    expect(() => parseFaults("fire")).toThrow("fire is no kind of fault");
  });
});
