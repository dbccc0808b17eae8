import { describe, expect, it } from "vitest";
import { configSchema, hostInUrl, loopbackOf, splitHostPort } from "../../../src/cli/config.js";

describe("HOST:PORT", () => {
  it.each([
    ["127.0.0.1:7700", "127.0.0.1", 7700, "127.0.0.1"],
    ["localhost:0", "localhost", 0, "localhost"],
    ["node-1.example.org:65535", "node-1.example.org", 65535, "node-1.example.org"],
    ["[::1]:7700", "::1", 7700, "[::1]"],
    ["[2001:db8::7]:80", "2001:db8::7", 80, "[2001:db8::7]"],
  ])("takes %s apart", (text, host, port, inUrl) => {
    const { http } = configSchema.parse({ http: text });
    expect(splitHostPort(http)).toEqual({ host, port });
    expect(hostInUrl(host)).toBe(inUrl);
  });

  it.each([
    "",
    "7700",
    ":7700",
    "localhost",
    "localhost:",
    "localhost:http",
    "::1:7700",
    "[::1]",
    "a b:1",
    "a:1:2",
  ])("refuses %j", (text) => {
    const [issue] = configSchema.safeParse({ http: text }).error?.issues ?? [];
    expect(issue?.message).toBe("expected HOST:PORT, for example 127.0.0.1:7700");
  });

  it.each(["a:65536", "a:99999"])("refuses the port of %s", (text) => {
    const [issue] = configSchema.safeParse({ grpc: text }).error?.issues ?? [];
    expect(issue?.message).toBe("the port must be at most 65535");
  });

  it("reaches a server on every interface over loopback", () => {
    expect(["0.0.0.0", "::", "10.0.0.1", "example.org"].map(loopbackOf)).toEqual([
      "127.0.0.1",
      "::1",
      "10.0.0.1",
      "example.org",
    ]);
  });
});
