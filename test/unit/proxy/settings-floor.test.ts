import { describe, expect, it } from "vitest";
import { DEFAULT_PROXY_CONFIG } from "../../../src/proxy/http/config.js";
import { untilSettingsFloor } from "../../../src/proxy/http/settings-floor.js";
import { createManualWorld } from "../../support/manual-world.js";
import { indexView, nodeViews, placeShards, settableTopology, topologyView } from "./views.js";

const layout = { groups: 1, nodesPerGroup: 1, replicationFactor: 1, shards: 1 };

function start() {
  const world = createManualWorld();
  const nodes = nodeViews(layout);
  const topology = settableTopology();
  topology.set(
    topologyView(
      nodes,
      ["books", "films"].map((uid) => indexView(uid, "id", placeShards(layout, nodes))),
    ),
  );
  const services = { world, topology, config: DEFAULT_PROXY_CONFIG };
  const ask = (floor: string | undefined, ...uids: string[]) =>
    untilSettingsFloor(
      services,
      {
        headers: floor === undefined ? {} : { "x-miroir-min-settings-version": floor },
        signal: new AbortController().signal,
      },
      uids,
    );
  return { world, topology, ask };
}

describe("the settings floor of a read", () => {
  it("lets a read through that names none, or a version that is in force", async () => {
    const { ask } = start();
    await ask(undefined, "books");
    await ask("0", "books");
    await ask("1", "books", "films");
  });

  it("waits for the version to arrive", async () => {
    const { ask, topology, world } = start();
    const waiting = ask("3", "books");
    await world.advance(900);
    topology.change("books", { settingsVersion: 2n });
    topology.change("books", { settingsVersion: 3n });
    await waiting;
  });

  it("answers 503 with Retry-After where any of the indexes stays behind", async () => {
    const { ask, world } = start();
    const refused = expect(ask("2", "films", "books")).rejects.toMatchObject({
      status: 503,
      retryAfterSeconds: 1,
      body: { code: "miroir_settings_version_stale", type: "system" },
    });
    await world.advance(1_000);
    await refused;
  });

  it("leaves indexes that stay unknown to the read", async () => {
    const { ask, world } = start();
    const waiting = ask("2", "unknown");
    await world.advance(1_000);
    await waiting;
  });

  it.each(["", "x", "-1", "1.5", "0x1", "99999999999999999999", "1,2"])(
    "refuses %j, which is no version",
    async (floor) => {
      const { ask } = start();
      await expect(ask(floor, "books")).rejects.toMatchObject({ status: 400, body: { code: "bad_request" } });
    },
  );
});
