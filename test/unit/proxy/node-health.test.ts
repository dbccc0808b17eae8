import { beforeEach, describe, expect, it } from "vitest";
import { createNodeHealth, type NodeHealth } from "../../../src/proxy/read/node-health.js";
import { createManualWorld, type ManualWorld } from "../../support/manual-world.js";

let world: ManualWorld;
let health: NodeHealth;
let answers: boolean;

beforeEach(() => {
  world = createManualWorld();
  answers = true;
  health = createNodeHealth(world, async () => {
    if (!answers) throw new Error("no answer");
  });
});

const fail = (times: number): void => {
  for (let at = 0; at < times; at += 1) health.begin("a").failed();
};

describe("a node's circuit", () => {
  it("opens after failures in a row and closes with a trial that succeeds", async () => {
    fail(2);
    health.begin("a").succeeded();
    fail(2);
    expect(health.isAvoided("a")).toBe(false);
    fail(1);
    expect(health.avoided()).toEqual(["a"]);
    await world.advance(1_000);
    expect(health.isAvoided("a")).toBe(false);
  });

  it("is open from the last break on where connections break again and again", async () => {
    health.begin("a").brokeOff();
    await world.advance(1_500);
    health.begin("a").brokeOff();
    await world.advance(1_500);
    expect(health.isAvoided("a")).toBe(true);
    await world.advance(600);
    expect(health.isAvoided("a")).toBe(false);
  });

  it("is tried ever more rarely while the trials fail", async () => {
    answers = false;
    fail(3);
    await world.advance(1_000);
    answers = true;
    await world.advance(1_900);
    expect(health.isAvoided("a")).toBe(true);
    await world.advance(200);
    expect(health.isAvoided("a")).toBe(false);
  });

  it("opens at once where the connection broke, until the control plane can have seen what is there now", async () => {
    health.begin("a").brokeOff();
    expect(health.isAvoided("a")).toBe(true);
    await world.advance(1_900);
    expect(health.isAvoided("a")).toBe(true);
    await world.advance(200);
    expect(health.isAvoided("a")).toBe(false);
  });

  it("counts what is under way, and takes nothing from calls that were given up", () => {
    const calls = [health.begin("a"), health.begin("a"), health.begin("a")];
    expect(health.inFlight("a")).toBe(3);
    for (const call of calls) call.abandoned();
    calls[0]?.failed();
    expect(health.inFlight("a")).toBe(0);
    fail(2);
    expect(health.isAvoided("a")).toBe(false);
  });
});
