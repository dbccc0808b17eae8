import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { createIpPolicy, isNetwork } from "../../../src/outbound/ip-policy.js";
import { OutboundRefusedError, OutboundUnavailableError } from "../../../src/outbound/outbound-http.js";
import { createUndiciOutbound } from "../../../src/outbound/undici-outbound.js";

const LOCAL = [
  "0.0.0.0",
  "10.1.2.3",
  "100.64.0.1",
  "127.0.0.1",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.8",
  "192.0.0.255",
  "192.0.2.1",
  "192.168.1.1",
  "198.19.0.1",
  "198.51.100.1",
  "203.0.113.1",
  "255.255.255.255",
  "::",
  "::1",
  "::ffff:10.0.0.1",
  "::ffff:a00:1",
  "64:ff9b:1::1",
  "100::1",
  "2001:db8::1",
  "2002::1",
  "fc00::1",
  "fd12::1",
  "fe80::1",
];
const GLOBAL = [
  "1.1.1.1",
  "100.128.0.1",
  "172.32.0.1",
  "192.0.0.9",
  "192.0.0.10",
  "192.0.1.1",
  "198.20.0.1",
  "2001:1::1",
  "2001:3::1",
  "2606:4700::1111",
];

describe("the policy of addresses", () => {
  it("refuses what is not reachable from all of the internet", () => {
    const policy = createIpPolicy([]);
    expect(LOCAL.filter((address) => policy.allows(address))).toEqual([]);
    expect(GLOBAL.filter((address) => !policy.allows(address))).toEqual([]);
  });

  it("makes exceptions", () => {
    const policy = createIpPolicy(["10.1.0.0/16", "::1"]);
    expect(["10.1.9.9", "::1", "::ffff:10.1.0.1"].every((address) => policy.allows(address))).toBe(true);
    expect(["10.2.0.1", "127.0.0.1"].some((address) => policy.allows(address))).toBe(false);
    expect(LOCAL.every((address) => createIpPolicy(["any"]).allows(address))).toBe(true);
  });

  it("knows what is no network", () => {
    expect(["10.0.0.0/33", "10.0.0", "a", "", "::/129", "1.1.1.1/", "1.1.1.1/8/8"].some(isNetwork)).toBe(
      false,
    );
    expect(() => createIpPolicy(["everything"])).toThrow(RangeError);
  });
});

describe("requests to addresses that clients have named", () => {
  it.each([
    "http://127.0.0.1:9/",
    "http://0x7f.1:9/",
    "http://[::1]:9/",
    "http://localhost:9/",
    "ftp://1.1.1.1/",
    "x",
  ])("are not sent to %s", async (url) => {
    const outbound = createUndiciOutbound(createIpPolicy([]));
    const request = { method: "GET", url, headers: {}, timeoutMs: 1_000 } as const;
    await expect(outbound.request(request)).rejects.toThrow(OutboundRefusedError);
    await outbound.close();
  });

  it("end after their time, and when they are broken off", async () => {
    const server = createServer(() => undefined);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const outbound = createUndiciOutbound(createIpPolicy(["any"]));
    const request = { method: "GET", url, headers: {} } as const;
    await expect(outbound.request({ ...request, timeoutMs: 50 })).rejects.toThrow("within 50 ms");
    const abort = new AbortController();
    const broken = outbound.request({ ...request, timeoutMs: 5_000, signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(broken).rejects.toThrow("enough");
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await outbound.close();
  });

  it("tell where nobody answers", async () => {
    const outbound = createUndiciOutbound(createIpPolicy(["any"]));
    const request = { method: "GET", url: "http://127.0.0.1:9/", headers: {}, timeoutMs: 1_000 } as const;
    await expect(outbound.request(request)).rejects.toThrow(OutboundUnavailableError);
    await outbound.close();
  });
});
