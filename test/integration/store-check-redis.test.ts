import { afterAll, beforeAll, expect, it } from "vitest";
import { createSystemWorld } from "../../src/runtime/world.js";
import { checkStore, describeFinding, inspectStore } from "../../src/store/inspect.js";
import { openTaskStore } from "../../src/store/open-task-store.js";
import { parseStoreUrl } from "../../src/store/store-location.js";
import { leaseScope } from "../../src/store/task-store.js";
import { describeWithRedis, type RedisServer, startRedis } from "../support/redis-server.js";
import { fillStore, smallLoad } from "../unit/store/fill-store.js";

describeWithRedis("a check of a store on Redis", () => {
  const world = createSystemWorld();
  const scope = leaseScope("leader");
  let redis: RedisServer;

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis?.stop());

  /** A filled keyspace, its location, and what its keys begin with. */
  async function filled() {
    const url = redis.freshUrl();
    const location = parseStoreUrl(url);
    const store = await openTaskStore({ location, world });
    const lease = await store.lease.acquire({ scope, holder: "host:7800/1", ttlMs: 60_000 });
    await fillStore(store, { scope, holder: "host:7800/1", term: lease?.term ?? 0 }, smallLoad);
    await store.close();
    const tag = /key_prefix=(.*)$/.exec(url)?.[1];
    return { location, world, tag: `{${tag ?? ""}}` };
  }

  const findingsOf = async (options: Awaited<ReturnType<typeof filled>>): Promise<string[]> =>
    (await checkStore(options)).findings.map((finding) =>
      describeFinding(finding).replaceAll(options.tag, "{p}"),
    );

  it("finds nothing wrong in a whole one, says how far it is, and changes nothing", async () => {
    const options = await filled();
    const before = await redis.client().dbsize();
    const parts: string[] = [];
    const { examined, findings } = await checkStore(options, ({ part }) => parts.push(part));
    expect(findings).toEqual([]);
    expect(examined).toBeGreaterThan(40);
    expect(parts.length).toBeGreaterThan(5);
    expect(await redis.client().dbsize()).toBe(before);
    expect(await inspectStore(options)).toMatchObject({
      backend: "redis",
      schema: { kind: "current" },
      rows: { tasks: 40, canary_runs: 22 },
      leader: { holder: "host:7800/1", live: true },
    });
  });

  it("names rows that are gone, rows that no index has, and counts that are wrong", async () => {
    const options = await filled();
    const client = redis.client();
    const key = (rest: string): string => `${options.tag}:${rest}`;
    await client.del(key("tasks:3"));
    await client.zrem(key("tasks:_enqueued"), "a5");
    await client.hincrby(key("tasks:_counts"), "succeeded", 2);
    await client.set(key("tasks:_next_uid"), "7");
    await client.hset(key("tasks:9"), "status", "lost");
    const [alias] = await client.zrange(key("aliases:_index"), 0, 0);
    await client.del(key(`aliases:${alias}`));
    await client.zadd(key("jobs:_claimed"), 0, "10000000000000001ghost");
    const findings = await findingsOf(options);
    expect(findings).toEqual(
      expect.arrayContaining([
        "{p}:tasks:_index has an entry for 3, which does not belong there",
        "{p}:tasks:_enqueued has no entry for 5, which belongs there",
        expect.stringMatching(/^tasks: row 9 cannot be read: /),
        expect.stringMatching(/^tasks: \d+ recorded as the number of tasks of succeeded, there are \d+$/),
        "task_uids: 7 recorded as the number of task uids given out, there are 40",
        `{p}:aliases:_index has an entry for ${alias}, which does not belong there`,
        "{p}:jobs:_claimed has an entry for ghost, which does not belong there",
      ]),
    );
  });

  it("says that there is none, and whose the keys are otherwise", async () => {
    const location = parseStoreUrl(redis.freshUrl());
    expect((await inspectStore({ location, world })).schema).toEqual({ kind: "absent" });
    const tag = location.kind === "redis" ? `{${location.keyPrefix}}` : "";
    await redis.client().set(`${tag}:schema_version`, "of another program");
    expect((await inspectStore({ location, world })).schema).toMatchObject({
      kind: "refused",
      reason: expect.stringContaining("is not a Miroir store"),
    });
  });
});
