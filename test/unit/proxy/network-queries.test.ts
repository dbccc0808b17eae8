import { describe, expect, it } from "vitest";
import { mergeNetwork, NO_NETWORK } from "../../../src/proxy/http/network-merge.js";
import { multiSearchRequestOf } from "../../../src/proxy/read/multi-search-query.js";
import {
  NETWORK_RESOURCE,
  type PlacedInNetwork,
  placeInNetwork,
} from "../../../src/proxy/read/network-queries.js";
import { topologyView } from "./views.js";

describe("queries that name servers of the network", () => {
  it("change nothing where there are none", () => {
    const placed = place(['{"indexUid":"a"}'], ["here"]);
    expect(placed).toMatchObject({ self: undefined, fault: undefined });
    expect(placed.judged.toString()).toBe('{"queries":[{"indexUid":"a"}],"federation":{}}');
  });

  it("are answered here under this server's own name, which nodes do not see", () => {
    const placed = place(
      ['{"indexUid":"a","federationOptions":{ "weight":2.0,"remote":"here"}}', '{"indexUid":"b"}'],
      [],
    );
    expect(placed).toMatchObject({ self: "here", fault: undefined });
    expect(placed.judged.toString()).toBe(
      '{"queries":[{"indexUid":"a","federationOptions":{ "weight":2.0}},{"indexUid":"b"}],"federation":{}}',
    );
  });

  it.each([
    ["another server", '{"indexUid":"a","federationOptions":{"remote":"there"}}', "feature_not_available"],
    ["every server", '{"indexUid":"a","useNetwork":true}', "feature_not_available"],
    ["a place", '{"indexUid":"a","federationOptions":{"queryPosition":3}}', "feature_not_available"],
    ["an unknown one", '{"indexUid":"a","federationOptions":{"remote":"nowhere"}}', "bad_request"],
  ])("are refused for %s, at their place", (_, query, code) => {
    const { fault } = place(['{"indexUid":"b"}', query], ["here", "there"]);
    expect(fault).toMatchObject({
      body: { code, message: expect.stringMatching(/^Inside `\.queries\[1\]`: /) },
    });
  });

  it("keep names for nodes to refuse that the network does not know", () => {
    const query = '{"indexUid":"a","federationOptions":{"remote":"nowhere"}}';
    expect(place([query], ["here", "there"]).judged.toString()).toContain(query);
  });

  it("are for this server alone where the network has no other", () => {
    expect(place(['{"indexUid":"a","useNetwork":true}'], ["here"])).toMatchObject({
      self: "here",
      fault: undefined,
    });
  });

  it("are left to nodes without the feature", () => {
    const query = '{"indexUid":"a","federationOptions":{"remote":"here"}}';
    const placed = place([query], ["here"], { isOn: false });
    expect(placed.fault).toBeDefined();
    expect(placed.judged.toString()).toContain(query);
  });
});

/** In a network where this server is called `here`. */
function place(
  queries: readonly string[],
  remotes: readonly string[],
  { isOn = true } = {},
): PlacedInNetwork {
  const body = Buffer.from(`{"queries":[${queries.join(",")}],"federation":{}}`);
  const request = multiSearchRequestOf(JSON.parse(body.toString()), body);
  if (request === undefined) throw new Error("the body is unsound");
  const change = {
    self: "here",
    remotes: new Map(remotes.map((name) => [name, { url: `http://${name}` }])),
  };
  const json = JSON.stringify(mergeNetwork(NO_NETWORK, change, "v"));
  const view = {
    ...topologyView([], []),
    experimentalFeatures: new Set(isOn ? ["network"] : []),
    resources: new Map([[NETWORK_RESOURCE, { json, version: 1n }]]),
  };
  return placeInNetwork(view, request.queries, body);
}
