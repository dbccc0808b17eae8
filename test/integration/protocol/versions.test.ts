import { afterEach, describe, expect, it } from "vitest";
import { GrpcError } from "../../../src/client/grpc-adapter.js";
import { startCopy } from "../../../src/control/copy/start-copy.js";
import { errorCodes } from "../../../src/control/server/error-codes.js";
import { ProtocolBehindError } from "../../../src/control/topology/protocol-gate.js";
import { ProtocolMismatchSchema } from "../../../src/gen/miroir/v1/control_pb.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import { negotiate, PROTOCOL, type ProtocolRange } from "../../../src/topology/protocol.js";
import { putIndex, sampleIndex } from "../../support/topologies.js";
import { HandDrivenProxy, type Rig, startProxy, startRig, stopAll, until, world } from "./rig.js";

afterEach(stopAll);

const OLD: ProtocolRange = { min: 1, max: 1 };

/** Gives a replica up, which is a copy of shards: something that version 1 does not know. */
async function beginCopy({ control }: Rig): Promise<void> {
  await control.topology.change("an index", (draft) => putIndex(draft, sampleIndex("films")));
  await control.topology.change("a replica is given up", (draft) => {
    const [index] = draft.indexes;
    if (index === undefined) throw new Error("there is no index");
    startCopy(draft, index.instance, {
      id: "copy-1",
      workflowId: "workflow-1",
      moves: [{ shard: 0, from: "node-1" }],
      repairNodeIds: [],
      maxDocumentsPerSecond: 0,
    });
  });
}

const epochOf = (rig: Rig) => rig.control.topology.current().epoch;

describe("protocol versions", () => {
  it("are agreed on by the newest of both, and refused where one side is behind", () => {
    expect(negotiate({ min: 1, max: 3 }, { min: 1, max: 2 }, 1)).toEqual({ kind: "agreed", protocol: 2 });
    expect(negotiate({ min: 1, max: 3 }, { min: 2, max: 5 }, 3)).toEqual({ kind: "agreed", protocol: 3 });
    expect(negotiate({ min: 2, max: 3 }, { min: 1, max: 1 }, 1)).toMatchObject({
      behind: "client",
      spoken: 1,
      required: 2,
    });
    expect(negotiate({ min: 1, max: 3 }, { min: 1, max: 2 }, 3)).toMatchObject({
      behind: "client",
      spoken: 2,
      required: 3,
    });
    expect(negotiate({ min: 1, max: 1 }, { min: 2, max: 2 }, 1)).toMatchObject({
      behind: "server",
      spoken: 1,
      required: 2,
    });
  });

  it("are told to a proxy before anything else; one of the first version is told nothing that it does not know", async () => {
    const { address } = await startRig();
    const modern = new HandDrivenProxy(address);
    modern.hello("modern", undefined, undefined, { min: 1, max: 7 });
    expect(await modern.next()).toMatchObject({
      case: "welcome",
      value: { protocol: PROTOCOL.max, version: "0.0.0-test" },
    });
    expect((await modern.next())?.case).toBe("snapshot");
    const first = new HandDrivenProxy(address);
    first.hello("first");
    expect((await first.next())?.case).toBe("snapshot");
  });

  it("end the stream of a proxy that is too old or too new, with what to upgrade first", async () => {
    const rig = await startRig();
    await beginCopy(rig);
    const refusal = async (protocol: ProtocolRange | undefined): Promise<unknown> => {
      const proxy = new HandDrivenProxy(rig.address);
      proxy.hello("p", undefined, undefined, protocol);
      const error = await proxy.next().catch((failure: unknown) => failure);
      if (!(error instanceof GrpcError)) throw new Error("it was not refused");
      expect(error.code).toBe(9);
      return error.detail(ProtocolMismatchSchema);
    };
    expect(await refusal(undefined)).toMatchObject({
      spoken: 1,
      required: 2,
      upgradeFirst: "the proxy p (version hand)",
    });
    expect(await refusal({ min: 3, max: 4 })).toMatchObject({
      spoken: PROTOCOL.max,
      required: 3,
      upgradeFirst: "the control plane (version 0.0.0-test)",
    });
  });

  it("hold a copy back while an old proxy is connected, which keeps reading and writing; and let it begin when that is gone", async () => {
    const rig = await startRig();
    const old = startProxy([rig.address], "old", { protocol: OLD });
    await until(() => old.connection().kind === "subscribed", "the old proxy is subscribed");
    const refusal = await beginCopy(rig).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ProtocolBehindError);
    expect((refusal as Error).message).toContain("the proxy old (version 0.0.0-test) speaks 1 at most");
    expect(rig.control.topology.current().indexes[0]?.copy).toBeUndefined();
    await old.close();
    await until(() => rig.control.fleet.proxies().length === 0, "the old proxy is gone");
    await beginCopy(rig);
    expect(rig.control.topology.current().minProtocol).toBe(2);

    // A proxy of that age that comes back keeps the topology that it has, and gets no lease.
    const late = startProxy([rig.address], "late", { protocol: OLD });
    await until(() => late.connection().kind === "waiting", "the late one is refused");
    expect(late.current()).toBeUndefined();
    expect(late.state().kind).toBe("none");
  });

  it("go back when nothing new is left in the topology", async () => {
    const rig = await startRig();
    await beginCopy(rig);
    await rig.control.topology.change("the copy is taken back", (draft) => {
      for (const index of draft.indexes) delete index.copy;
    });
    expect(rig.control.topology.current().minProtocol).toBe(0);
    const old = startProxy([rig.address], "old", { protocol: OLD });
    await until(() => old.connection().kind === "subscribed", "the old proxy is subscribed");
  });

  it("hold a copy back while a control process runs that would misread it", async () => {
    let others = [{ address: "10.0.0.2:7800", session: "s", version: "0.9.0", protocol: OLD }];
    const rig = await startRig({ replicas: () => others });
    await expect(beginCopy(rig)).rejects.toThrow(
      "the control process at 10.0.0.2:7800 (version 0.9.0) speaks 1 at most: upgrade it first",
    );
    others = [];
    await beginCopy(rig);
    expect(epochOf(rig)?.counter).toBeGreaterThan(1n);
  });

  it("keep a control process that would misread the topology from leading; one that understands it leads", async () => {
    const store = await openSqliteTaskStore({ path: ":memory:", clock: world.clock });
    const rig = await startRig({ store });
    await beginCopy(rig);
    const written = rig.control.topology.current();
    await rig.stop();
    await expect(startRig({ store, protocol: OLD })).rejects.toThrow(
      "the stored topology takes protocol version 2, and this control process speaks 1 at most: upgrade it first",
    );
    // It has left neither the lease nor a topology behind.
    expect((await store.topology.load())?.contentHash).toBe(written.contentHash);
    const next = await startRig({ store });
    expect(next.control.topology.current().indexes[0]?.copy?.id).toBe("copy-1");
  });

  it("are an error of their own for operators", async () => {
    const error = new ProtocolBehindError("this", 2, { max: 1, who: "that" });
    const call = errorCodes(() => Promise.reject(error));
    await expect(call({} as never)).rejects.toMatchObject({ code: 9, rawMessage: error.message });
  });
});
