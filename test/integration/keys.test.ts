import pino from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configSchema } from "../../src/cli/config.js";
import { type RunningProxy, runProxy } from "../../src/cli/run-proxy.js";
import { createSystemWorld } from "../../src/runtime/world.js";
import { type Fleet, startFleet } from "../support/fleet.js";

const MASTER = "a master key of some length";

describe("API keys over several proxies", () => {
  let fleet: Fleet;
  let other: RunningProxy;
  beforeAll(async () => {
    fleet = await startFleet({ nodes: 2, replicationFactor: 1, masterKey: MASTER });
    other = await runProxy({
      config: configSchema.parse({
        http: "127.0.0.1:0",
        control: [fleet.controlAddress()],
        proxy_id: "proxy-1",
        master_key: MASTER,
      }),
      world: createSystemWorld(),
      logger: pino({ level: "silent" }),
    });
    await other.whenReady(AbortSignal.timeout(10_000));
  });
  afterAll(async () => {
    await other?.close();
    await fleet?.stop();
  });

  const ask = async (
    url: string,
    method: string,
    path: string,
    key: string,
    body?: object,
  ): Promise<{ status: number; body: Record<string, unknown> }> => {
    const answer = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return {
      status: answer.status,
      body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>),
    };
  };
  /** Milliseconds until a key is answered with a status. */
  const until = async (url: string, key: string, status: number): Promise<number> => {
    const began = performance.now();
    await fleet.eventually(async () =>
      (await ask(url, "GET", "/indexes", key)).status === status ? true : undefined,
    );
    return performance.now() - began;
  };

  it("has Meilisearch's default keys from the start, the same everywhere", async () => {
    const [here, there] = await Promise.all(
      [fleet.api.url, other.url].map((url) => ask(url, "GET", "/keys", MASTER)),
    );
    expect(here?.body.total).toBe(4);
    expect(there?.body).toEqual(here?.body);
  });

  it("takes a key that was made through another proxy within a second, and refuses it as soon once it is deleted", async () => {
    const key = { actions: ["indexes.get"], indexes: ["*"], expiresAt: null };
    const made = await ask(fleet.api.url, "POST", "/keys", MASTER, key);
    expect(made.status).toBe(201);
    const secret = String(made.body.key);
    // At once where it was made.
    expect((await ask(fleet.api.url, "GET", "/indexes", secret)).status).toBe(200);
    expect(await until(other.url, secret, 200)).toBeLessThan(1_000);

    expect((await ask(other.url, "DELETE", `/keys/${secret}`, MASTER)).status).toBe(204);
    expect((await ask(other.url, "GET", "/indexes", secret)).status).toBe(403);
    expect(await until(fleet.api.url, secret, 403)).toBeLessThan(1_000);
  });

  it("keeps keys over a restart of the control plane", async () => {
    const before = await ask(other.url, "GET", "/keys", MASTER);
    await fleet.stopControl();
    expect((await ask(other.url, "GET", "/keys", MASTER)).body).toEqual(before.body);
    await fleet.startControl();
    await fleet.eventually(async () => {
      const made = await ask(other.url, "POST", "/keys", MASTER, {
        actions: ["search"],
        indexes: ["*"],
        expiresAt: null,
      });
      return made.status === 201 ? true : undefined;
    });
    const after = await ask(other.url, "GET", "/keys", MASTER);
    expect(after.body.total).toBe(Number(before.body.total) + 1);
  });
});
