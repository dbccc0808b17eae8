import { describe, expect, it } from "vitest";
import type { NodeRequest, NodeTransport } from "../../../src/meilisearch/transport.js";
import { PLANTED_FAULTS, withPlantedFault } from "../../chaos-harness/planted-faults.js";

/** A node that answers everything with one text, and keeps what it was asked. */
function nodeWith(text: string): NodeTransport & { readonly asked: NodeRequest[] } {
  const asked: NodeRequest[] = [];
  return {
    asked,
    request: async (_, request) => {
      asked.push(request);
      return { status: 200, contentType: "application/json", body: Buffer.from(text) };
    },
    close: async () => undefined,
  };
}

const address = { id: "node-0", url: "http://node" };
const search = (filter: unknown): NodeRequest => ({
  method: "POST",
  path: "/indexes/m_1/search",
  body: JSON.stringify({ q: "", filter }),
});

describe("planted faults", () => {
  it("leave everything alone unless named, and are refused by a wrong name", async () => {
    const node = nodeWith("{}");
    expect(withPlantedFault(node, undefined)).toBe(node);
    expect(() => withPlantedFault(node, "nothing")).toThrow(PLANTED_FAULTS.join(", "));
  });

  it("accept a write that no node gets", async () => {
    const node = nodeWith("{}");
    const transport = withPlantedFault(node, "accept-unsent");
    const statuses: number[] = [];
    for (let at = 0; at < 40; at++) {
      const { status } = await transport.request(address, {
        method: "POST",
        path: "/indexes/m_1/documents?x=1",
      });
      statuses.push(status);
    }
    expect(statuses.filter((status) => status === 202)).toHaveLength(2);
    expect(node.asked).toHaveLength(38);
  });

  it("tell of tasks before they are over", async () => {
    const transport = withPlantedFault(
      nodeWith('[{"status":"processing"},{"status":"failed"}]'),
      "succeed-early",
    );
    const { body } = await transport.request(address, { method: "GET", path: "/tasks?from=1" });
    expect(body.toString()).toBe('[{"status":"succeeded"},{"status":"failed"}]');
  });

  it("ask for shards that a node does not serve, and for whatever else was asked", async () => {
    const node = nodeWith("{}");
    const transport = withPlantedFault(node, "no-shard-filter");
    await transport.request(address, search(["g = 1", '_miroir_shard IN ["(((("]']));
    await transport.request(address, search('_miroir_shard IN ["(((("]'));
    await transport.request(address, search("g = 1"));
    const filters = node.asked.map(({ body }) => (JSON.parse(String(body)) as { filter?: unknown }).filter);
    expect(filters).toEqual([["g = 1"], undefined, "g = 1"]);
  });

  it("answer a read with what was read before", async () => {
    const node = nodeWith("{}");
    const transport = withPlantedFault(node, "cached-reads");
    await transport.request(address, search("g = 1"));
    await transport.request(address, search("g = 1"));
    await transport.request(address, search("g = 2"));
    expect(node.asked).toHaveLength(2);
  });
});
