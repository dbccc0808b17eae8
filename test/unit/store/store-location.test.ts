import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InvalidArgumentError } from "../../../src/store/errors.js";
import { describeLocation, parseStoreUrl, type RedisLocation } from "../../../src/store/store-location.js";

const plain: RedisLocation = {
  kind: "redis",
  servers: { kind: "single", server: { host: "cache", port: 6_379 } },
  tls: false,
  username: undefined,
  password: undefined,
  sentinelPassword: undefined,
  database: 0,
  keyPrefix: "miroir",
  waitReplicas: 0,
};

/** What is said of a URL that is refused. */
function refusal(url: string): string {
  try {
    parseStoreUrl(url);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    return error.message;
  }
  throw new Error(`${url} was accepted`);
}

describe("a SQLite store's URL", () => {
  it.each([
    ["sqlite:///var/lib/miroir/control.db", "/var/lib/miroir/control.db"],
    ["sqlite://control.db", "control.db"],
    ["sqlite:control.db", "control.db"],
    ["sqlite:///with%20space/50%25.db", "/with space/50%.db"],
    ["sqlite::memory:", ":memory:"],
  ])("%s is the file %s", (url, path) => {
    const location = parseStoreUrl(url);
    expect(location).toEqual({ kind: "sqlite", path });
    expect(describeLocation(location)).toBe(path);
  });

  it.each([
    ["sqlite:", "name it"],
    ["sqlite:///", "name it"],
    ["sqlite:///folder/", "name it"],
    ["sqlite:///a.db?mode=ro", "takes no parameters"],
    ["sqlite:///a%zz.db", "write %25 for %"],
  ])("%s is refused: %s", (url, why) => {
    expect(refusal(url)).toContain(why);
  });
});

describe("a Redis store's URL", () => {
  it.each<[string, Partial<RedisLocation>, string]>([
    ["redis://cache", {}, "redis://cache:6379/0 (keys {miroir}:*)"],
    [
      "redis://cache:7000/3?key_prefix=fleet.2",
      {
        servers: { kind: "single", server: { host: "cache", port: 7_000 } },
        database: 3,
        keyPrefix: "fleet.2",
      },
      "redis://cache:7000/3 (keys {fleet.2}:*)",
    ],
    ["redis://:secret@cache", { password: "secret" }, "redis://cache:6379/0 (keys {miroir}:*)"],
    [
      "rediss://miroir:s%40%3A%2F%25t@cache?wait_replicas=2",
      { tls: true, username: "miroir", password: "s@:/%t", waitReplicas: 2 },
      "rediss://cache:6379/0 (keys {miroir}:*)",
    ],
    [
      "redis://user:a:b@cache",
      { username: "user", password: "a:b" },
      "redis://cache:6379/0 (keys {miroir}:*)",
    ],
    [
      "redis://[::1]:6380/1",
      { servers: { kind: "single", server: { host: "::1", port: 6_380 } }, database: 1 },
      "redis://[::1]:6380/1 (keys {miroir}:*)",
    ],
    [
      "redis://[fe80::ffff:10.0.0.1]",
      { servers: { kind: "single", server: { host: "fe80::ffff:10.0.0.1", port: 6_379 } } },
      "redis://[fe80::ffff:10.0.0.1]:6379/0 (keys {miroir}:*)",
    ],
    [
      "redis+sentinel://user:pw@s1,s2:26380,[::2]/my%20primary/4?sentinel_password=other",
      {
        servers: {
          kind: "sentinel",
          sentinels: [
            { host: "s1", port: 26_379 },
            { host: "s2", port: 26_380 },
            { host: "::2", port: 26_379 },
          ],
          primaryName: "my primary",
        },
        username: "user",
        password: "pw",
        sentinelPassword: "other",
        database: 4,
      },
      "redis+sentinel://s1:26379,s2:26380,[::2]:26379/my primary/4 (keys {miroir}:*)",
    ],
    [
      "rediss+cluster://:pw@a:7000,b",
      {
        servers: {
          kind: "cluster",
          seeds: [
            { host: "a", port: 7_000 },
            { host: "b", port: 6_379 },
          ],
        },
        tls: true,
        password: "pw",
      },
      "rediss+cluster://a:7000,b:6379 (keys {miroir}:*)",
    ],
    [
      "redis+cluster://a/0",
      { servers: { kind: "cluster", seeds: [{ host: "a", port: 6_379 }] } },
      "redis+cluster://a:6379 (keys {miroir}:*)",
    ],
  ])("%s", (url, expected, described) => {
    const location = parseStoreUrl(url);
    expect(location).toEqual({ ...plain, ...expected });
    expect(describeLocation(location)).toBe(described);
  });

  it.each([
    ["", "none of the known forms"],
    ["cache:6379", "none of the known forms"],
    ["postgres://cache", "none of the known forms"],
    ["redis:/cache", "none of the known forms"],
    ["redis://", "none of the known forms"],
    ["redis://cache#0", "none of the known forms"],
    ["redis+replica://cache", "none of the known forms"],
    ["redis://cache:0", '"cache:0" is not HOST or HOST:PORT'],
    ["redis://cache:70000", "is not HOST or HOST:PORT"],
    ["redis://::1", "is not HOST or HOST:PORT"],
    ["redis://cache,other", "several hosts"],
    ["redis://cache/one", "the database is a number"],
    ["redis://cache/1/2", "too many parts"],
    ["redis+cluster://cache/1", "database 0 only"],
    ["redis+sentinel://s1", "the name of the primary is missing"],
    ["redis+sentinel://s1,/primary", '"" is not HOST or HOST:PORT'],
    ["redis://secret@cache", "user:password"],
    ["redis://:sec%ret@cache", "write %25 for %"],
    ["redis://cache?prefix=a", 'no parameter "prefix"'],
    ["redis://cache?key_prefix=a:b", "key_prefix has"],
    ["redis://cache?key_prefix=", "key_prefix has"],
    ["redis://cache?wait_replicas=many", "wait_replicas is a number"],
    ["redis://cache?wait_replicas=17", "wait_replicas is a number"],
  ])("%s is refused: %s", (url, why) => {
    const said = refusal(url);
    expect(said).toContain(why);
    expect(said).toContain("Forms: sqlite:///path/to/file");
  });
});

describe("passwords", () => {
  const password = fc
    .string({ minLength: 6, unit: "grapheme-ascii" })
    .filter((text) => text.trim().length >= 6);
  const scheme = fc.constantFrom("redis", "rediss", "redis+cluster", "rediss+sentinel");
  const rest = (name: string): string => (name.endsWith("sentinel") ? "host/primary/0" : "host");

  it("come back as they were, and are in no description", () => {
    fc.assert(
      fc.property(scheme, fc.string(), password, password, (name, user, secret, other) => {
        const url = `${name}://${encodeURIComponent(user)}:${encodeURIComponent(secret)}@${rest(name)}?sentinel_password=${encodeURIComponent(other)}`;
        const location = parseStoreUrl(url);
        expect(location).toMatchObject({ password: secret, sentinelPassword: other });
        const bare = describeLocation({
          ...location,
          password: undefined,
          sentinelPassword: undefined,
        } as RedisLocation);
        expect(describeLocation(location)).toBe(bare);
      }),
    );
  });

  it("are in no refusal, encoded or not", () => {
    fc.assert(
      fc.property(
        scheme,
        fc.stringMatching(/^[a-z0-9]{4,8}$/),
        fc.constantFrom("", "/", "?", "#", "@", ":", "%", "/@", "?@", "[", ","),
        fc.constantFrom("host", "host:0", "host,", "host/x/y/z", "host?key_prefix=", "host?no=1", ""),
        (name, secret, special, tail) => {
          const half = `zq${secret}`;
          const url = `${name}://user:${half}${special}${half}@${tail}`;
          try {
            const location = parseStoreUrl(url);
            expect(describeLocation(location)).not.toContain(half);
          } catch (error) {
            expect(error).toBeInstanceOf(InvalidArgumentError);
            expect(String(error)).not.toContain(half);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
