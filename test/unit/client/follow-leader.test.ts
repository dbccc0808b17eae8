import { Code, ConnectError, createClient, createRouterTransport, type Transport } from "@connectrpc/connect";
import { expect, it } from "vitest";
import { followLeader } from "../../../src/client/follow-leader.js";
import { notLeader } from "../../../src/control/server/replica-services.js";
import { ClusterService } from "../../../src/gen/miroir/v1/cluster_pb.js";
import { VerifyService } from "../../../src/gen/miroir/v1/verify_pb.js";

/** Control processes by base URL: the leader answers with its address, a standby names another one. */
function fleet(leaderOf: Readonly<Record<string, string | undefined>>) {
  const asked: string[] = [];
  const connect = (baseUrl: string): Transport =>
    createRouterTransport(({ service }) => {
      const leader = leaderOf[baseUrl];
      const answer = (): string => {
        asked.push(baseUrl);
        if (!(baseUrl in leaderOf)) throw new ConnectError("nobody is there", Code.Unavailable);
        if (leader !== baseUrl) throw notLeader(leader);
        return baseUrl;
      };
      service(ClusterService, { getStatus: () => ({ version: answer() }) });
      service(VerifyService, {
        async *verify({ indexUids }) {
          yield {
            event: { case: "progress", value: { indexUid: `${answer()} ${indexUids.join()}` } },
          } as const;
        },
      });
    });
  const transport = followLeader(connect, "http://a:1");
  return {
    asked,
    status: async () => (await createClient(ClusterService, transport).getStatus({})).version,
    verify: async () => {
      const seen: unknown[] = [];
      for await (const { event } of createClient(VerifyService, transport).verify({ indexUids: ["films"] })) {
        seen.push(event.value);
      }
      return seen;
    },
  };
}

it("goes to the leader that a standby names, and stays there", async () => {
  const { asked, status } = fleet({ "http://a:1": "b:2", "http://b:2": "http://b:2" });
  expect(await status()).toBe("http://b:2");
  expect(await status()).toBe("http://b:2");
  expect(asked).toEqual(["http://a:1", "http://b:2", "http://b:2"]);
});

it("takes a stream of answers with it", async () => {
  const { verify } = fleet({ "http://a:1": "b:2", "http://b:2": "http://b:2" });
  expect(await verify()).toMatchObject([{ indexUid: "http://b:2 films" }]);
});

it("tells what the standby said where the leader cannot be reached from here, or is not known", async () => {
  await expect(fleet({ "http://a:1": "b:2" }).status()).rejects.toThrow("stands by; b:2 leads");
  await expect(fleet({ "http://a:1": undefined }).status()).rejects.toThrow("no control process leads");
});
