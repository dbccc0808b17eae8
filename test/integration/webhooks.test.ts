import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";
import { startWebhookReceiver, type WebhookReceiver } from "../support/webhook-receiver.js";

interface Event {
  readonly uid: number;
  readonly status: string;
}

let receiver: WebhookReceiver;
let fleet: Fleet;

beforeAll(async () => {
  receiver = await startWebhookReceiver();
  fleet = await startFleet({
    nodes: 2,
    replicationFactor: 1,
    shards: 4,
    controlConfig: { allowed_ip_networks: ["127.0.0.1"] },
  });
});
afterAll(async () => {
  await fleet?.stop();
  await receiver?.close();
});

const addWebhook = async (path: string): Promise<string> => {
  const body = { url: receiver.url + path, headers: { Authorization: "Bearer a-very-secret-token" } };
  return (await fleet.api.ok<{ uuid: string }>("POST", "/webhooks", body)).uuid;
};
const write = async (): Promise<number> => {
  const { taskUid } = await fleet.api.ok<{ taskUid: number }>("POST", "/indexes/films/documents", [
    { id: 1 },
  ]);
  return taskUid;
};
const toldOf = (path: string): readonly number[] =>
  receiver.events(path).map((event) => (JSON.parse(event) as Event).uid);

describe("webhooks over a fleet", () => {
  it("are told again of what they did not take at first", async () => {
    let refusals = 1;
    receiver.answer = ({ path }) => (path === "/again" && refusals-- > 0 ? 503 : 200);
    await addWebhook("/again");
    const uid = await write();
    await fleet.until(() => toldOf("/again").includes(uid));
    expect(toldOf("/again").filter((told) => told === uid)).toHaveLength(1);
    expect(refusals).toBeLessThan(0);
  });

  it("are told by the next leader of what the last one could not deliver, and of what finished in between", async () => {
    await addWebhook("/next");
    receiver.answer = () => 500;
    const undelivered = await write();
    await fleet.api.waitForTask(undelivered);
    const between = await write();
    await fleet.stopControl();
    receiver.answer = () => 200;
    await fleet.startControl();
    await fleet.until(() => [undelivered, between].every((uid) => toldOf("/next").includes(uid)));
  });

  it("are told nothing any more once they are deleted, and begin with tasks that finish after they were made", async () => {
    const uuid = await addWebhook("/gone");
    const first = await write();
    await fleet.until(() => toldOf("/gone").includes(first));
    expect(toldOf("/gone").every((uid) => uid >= first)).toBe(true);
    await fleet.api.ok("DELETE", `/webhooks/${uuid}`);
    const later = await write();
    await fleet.until(() => toldOf("/next").includes(later));
    expect(toldOf("/gone")).not.toContain(later);
  });

  it("say nothing of nodes", () => {
    const texts = receiver.requests.flatMap(({ lines }) => lines).join("\n");
    expect(texts).not.toMatch(/_miroir_|nodeTasks|node-[01]|"m[a-z2-7]{8}_\d+"/);
  });

  it("keep their secrets from whoever asks for the topology", async () => {
    const answer = await fetch(`http://${fleet.controlAddress()}/miroir.v1.TopologyService/GetTopology`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    expect(answer.status).toBe(200);
    expect(await answer.text()).not.toContain("a-very-secret-token");
    expect((await fleet.api.send("GET", "/webhooks")).text).not.toContain("a-very-secret-token");
  });
});
