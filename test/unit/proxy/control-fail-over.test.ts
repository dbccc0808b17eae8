import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { beforeEach, describe, expect, it } from "vitest";
import { GrpcError } from "../../../src/client/grpc-adapter.js";
import { StatusSchema } from "../../../src/gen/google/rpc/status_pb.js";
import { NotLeaderSchema } from "../../../src/gen/miroir/v1/control_pb.js";
import { type CallKind, ControlFailOver } from "../../../src/proxy/control-fail-over.js";
import { createManualWorld, type ManualWorld } from "../../support/manual-world.js";

let world: ManualWorld;
let asked: string[];
let behaviour: Map<string, (timeoutMs: number) => Promise<string>>;
let failOver: ControlFailOver<string>;

beforeEach(() => {
  world = createManualWorld();
  asked = [];
  behaviour = new Map();
  failOver = new ControlFailOver({
    targets: ["a", "b", "c"].map((address) => ({ address, target: address })),
    world,
  });
});

function call(kind: CallKind = "once", timeoutMs = 5_000): Promise<string> {
  return failOver.call(
    kind,
    (target, options) => {
      asked.push(target);
      return (behaviour.get(target) ?? (() => Promise.resolve(`${target} answers`)))(options.timeoutMs);
    },
    { timeoutMs },
  );
}

const refused = () =>
  new GrpcError("m", status.UNAVAILABLE, "No connection established. Last error: refused");
const dropped = () => new GrpcError("m", status.UNAVAILABLE, "Connection dropped");
const standby = (leaderAddress: string) =>
  new GrpcError("m", status.UNAVAILABLE, "stands by", {
    statusDetails: toBinary(
      StatusSchema,
      create(StatusSchema, {
        code: status.UNAVAILABLE,
        details: [anyPack(NotLeaderSchema, create(NotLeaderSchema, { leaderAddress }))],
      }),
    ),
  });
const fails = (error: () => Error) => () => Promise.reject(error());
/** Answers nothing within the time that it is given. */
const hangs = (timeoutMs: number): Promise<string> =>
  world.timers
    .sleep(timeoutMs)
    .then(() => Promise.reject(new GrpcError("m", status.DEADLINE_EXCEEDED, "deadline")));

describe("a call", () => {
  it("goes to the leader that a standby names, before the others", async () => {
    behaviour.set(
      "a",
      fails(() => standby("c")),
    );
    expect(await call()).toBe("c answers");
    expect(asked).toEqual(["a", "c"]);
  });

  it("goes on in turn where the leader is not known, or is called otherwise than it was given", async () => {
    behaviour.set(
      "a",
      fails(() => standby("")),
    );
    expect(await call()).toBe("b answers");
    behaviour.set(
      "a",
      fails(() => standby("elsewhere:7800")),
    );
    expect(await call()).toBe("b answers");
  });

  it("waits within its own time for the next leader while the control plane was heard of late", async () => {
    failOver.heard();
    for (const address of ["a", "b", "c"]) behaviour.set(address, fails(refused));
    const answer = call();
    await world.advance(2_000);
    expect(asked.length).toBeGreaterThan(6);
    behaviour.delete("b");
    await world.advance(1_000);
    expect(await answer).toBe("b answers");
  });

  it("fails at its time's end, and at once where nothing was heard for long", async () => {
    failOver.heard();
    for (const address of ["a", "b", "c"]) behaviour.set(address, fails(refused));
    const late = expect(call("once", 1_000)).rejects.toThrow("No connection");
    await world.advance(1_000);
    await late;
    await world.advance(15_001);
    asked = [];
    await expect(call()).rejects.toThrow("No connection");
    expect(asked).toEqual(["a", "b", "c"]);
  });

  it("is not sent elsewhere where it may have been done, unless doing it twice is doing it once", async () => {
    behaviour.set("a", fails(dropped));
    await expect(call("once")).rejects.toThrow("Connection dropped");
    expect(await call("repeatable")).toBe("b answers");
    expect(await call("read")).toBe("b answers");
  });

  it("passes over a slow process only where it reads", async () => {
    behaviour.set("a", hangs);
    const read = call("read");
    await world.advance(1_500);
    expect(await read).toBe("b answers");
    const write = expect(call("once")).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await world.advance(5_000);
    await write;
  });

  it("is refused once, by whoever refuses it", async () => {
    behaviour.set(
      "a",
      fails(() => new GrpcError("m", status.NOT_FOUND, "no such task")),
    );
    await expect(call("read")).rejects.toThrow("no such task");
    expect(asked).toEqual(["a"]);
  });
});

describe("the address that is believed to lead", () => {
  it("is the next one when a stream there fails, and the one that its end names", () => {
    failOver.failedAt("a", refused());
    expect(failOver.leading().address).toBe("b");
    failOver.failedAt("b", standby("a"));
    expect(failOver.leading().address).toBe("a");
  });

  it("stays where something fails at another one, and where only reads are answered elsewhere", async () => {
    failOver.failedAt("c", refused());
    behaviour.set(
      "a",
      fails(() => standby("")),
    );
    await call("read");
    expect(failOver.leading().address).toBe("a");
  });
});
