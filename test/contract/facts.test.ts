import { expect, it } from "vitest";
import { describeContract } from "./contract-nodes.js";

/** The alphabet of the fields that Miroir adds: separators only, in ascending byte order. */
const ALPHABET = "(),;[]{}";

/** A code of `length` symbols, most significant first. */
function code(value: number, length: number): string {
  let text = "";
  for (let i = 0, rest = value; i < length; i++, rest = Math.floor(rest / 8))
    text = ALPHABET.charAt(rest % 8) + text;
  return text;
}

const SHARD_RULE = {
  attributePatterns: ["_miroir_shard"],
  features: { facetSearch: false, filter: { equality: true, comparison: false } },
};
const DEFAULT_RULES = ["words", "typo", "proximity", "attributeRank", "sort", "wordPosition", "exactness"];

describeContract("what Miroir rests on", (node) => {
  const documents = Array.from({ length: 40 }, (_, i) => ({
    id: i + 1,
    title: i % 2 === 0 ? "blue whale" : "blue whale song",
    _miroir_shard: code((i * 631) % 4096, 4),
    // Written in an order that is not the order of the codes.
    _miroir_seq: code(((i * 17) % 40) * 1_000_003 + 8 ** 9, 18),
  }));

  it("a. separators make no search term, filter exactly, sort by bytes and show up in the score details", async () => {
    const { client } = node;
    await client.run("PATCH", "/indexes/fields/settings", {
      filterableAttributes: [SHARD_RULE],
      rankingRules: [...DEFAULT_RULES, "_miroir_seq:asc"],
    });
    const added = await client.run("POST", "/indexes/fields/documents", documents);
    expect(added.error).toBeNull();
    const search = async (body: object) => (await client.send("POST", "/indexes/fields/search", body)).json;

    for (const q of ["()", documents[3]?._miroir_shard, documents[3]?._miroir_seq, "a;b", "[]{}"]) {
      const answer = await search({ q, matchingStrategy: "all", limit: 100 });
      const letters = /[a-z]/.test(String(q));
      expect(answer.hits.length, `q = ${q}`).toBe(letters ? 0 : documents.length);
      expect(
        (await search({ q, showMatchesPosition: true, limit: 1 })).hits[0]?._matchesPosition ?? {},
      ).toEqual({});
    }
    const wanted = [3, 11, 27].map((i) => documents[i]?._miroir_shard);
    const some = await search({
      filter: [`_miroir_shard IN [${wanted.map((shard) => `"${shard}"`).join(",")}]`],
    });
    expect(some.hits.map((hit: { id: number }) => hit.id).sort((a: number, b: number) => a - b)).toEqual([
      4, 12, 28,
    ]);

    const all = await search({ q: "blue whale", limit: 100, showRankingScoreDetails: true });
    const bySequence = (list: typeof documents) =>
      [...list]
        .sort((a, b) => Buffer.compare(Buffer.from(a._miroir_seq), Buffer.from(b._miroir_seq)))
        .map((one) => one.id);
    const even = documents.filter((_, i) => i % 2 === 0);
    const odd = documents.filter((_, i) => i % 2 === 1);
    expect(all.hits.map((hit: { id: number }) => hit.id)).toEqual([...bySequence(even), ...bySequence(odd)]);
    for (const hit of all.hits) {
      const details = hit._rankingScoreDetails["_miroir_seq:asc"];
      expect(details).toEqual({ order: 6, value: hit._miroir_seq });
    }
  });

  it("b. a rule for equality alone lets IN and = through and refuses comparison and facet search", async () => {
    const { client } = node;
    const shard = documents[5]?._miroir_shard;
    const search = (filter: string) => client.send("POST", "/indexes/fields/search", { filter: [filter] });
    expect((await search(`_miroir_shard = "${shard}"`)).json.estimatedTotalHits).toBe(1);
    expect((await search(`_miroir_shard NOT IN ["${shard}"]`)).json.estimatedTotalHits).toBe(
      documents.length - 1,
    );
    const refused = await search(`_miroir_shard > "${shard}"`);
    expect(refused.status).toBe(400);
    expect(refused.json.message).toContain(
      "Filter operator `>` is not allowed for the attribute `_miroir_shard`.",
    );
    const facets = await client.send("POST", "/indexes/fields/facet-search", { facetName: "_miroir_shard" });
    expect(facets.json.code).toBe("invalid_facet_search_facet_name");
    const unknown = await search("nothing = 1");
    expect(unknown.json.message).toContain("Available filterable attribute patterns are: `_miroir_shard`.");
    // With a rule made of patterns, `*` is a valid facet; with plain names alone it is refused.
    expect((await client.send("POST", "/indexes/fields/search", { facets: ["*"] })).status).toBe(200);
  });

  it("c. two more fields change no score and no order of words", async () => {
    const { client } = node;
    const texts = [
      "red fox jumps",
      "fox in a red house",
      "quick fox, red",
      "a very long way to the red fox over there",
    ];
    const plain = texts.map((title, i) => ({ id: i + 1, title, body: "some other words" }));
    const marked = plain.map((one, i) => ({ ...one, _miroir_shard: code(i, 4), _miroir_seq: code(i, 18) }));
    await Promise.all([
      client.run("POST", "/indexes/plain/documents", plain),
      client.run("POST", "/indexes/marked/documents", marked),
    ]);
    for (const q of ["red fox", "fox", "some words", "jump", "fox in a red house"]) {
      const scores = await Promise.all(
        ["plain", "marked"].map(async (uid) => {
          const body = {
            q,
            attributesToRetrieve: ["id"],
            showRankingScore: true,
            showRankingScoreDetails: true,
          };
          return (await client.send("POST", `/indexes/${uid}/search`, body)).json.hits;
        }),
      );
      expect(scores[1], q).toEqual(scores[0]);
    }
  });

  it("d. an index whose primary key could not be inferred exists all the same, without a key", async () => {
    const { client } = node;
    const task = await client.run("POST", "/indexes/no-key/documents", [{ name: "x" }]);
    expect(task.status).toBe("failed");
    expect(task.error.code).toBe("index_primary_key_no_candidate_found");
    const index = await client.send("GET", "/indexes/no-key");
    expect(index.status).toBe(200);
    expect(index.json.primaryKey).toBeNull();
    // The same after a first task that named the key but failed on its documents.
    const invalid = await client.run("POST", "/indexes/bad-first/documents?primaryKey=id", [{ id: "a b" }]);
    expect(invalid.error.code).toBe("invalid_document_id");
    const left = await client.send("GET", "/indexes/bad-first");
    expect([left.status, left.json.primaryKey]).toEqual([200, null]);
  });

  it("e. a rename moves index and history to the free name, and late writes to the old one fail", async () => {
    const { client } = node;
    const key = (
      await client.send("POST", "/keys", {
        actions: ["documents.*", "settings.*", "tasks.*", "indexes.get"],
        indexes: ["*"],
        expiresAt: null,
      })
    ).json.key;
    const first = await client.run("POST", "/indexes/m1_1/documents?customMetadata=s.1", [{ id: 1 }]);
    const rename = await client.run("POST", "/swap-indexes", [{ indexes: ["m1_1", "m1_2"], rename: true }]);
    expect(rename.status).toBe("succeeded");
    expect(rename.details).toEqual({ swaps: [{ indexes: ["m1_1", "m1_2"], rename: true }] });
    expect(rename.indexUid).toBeNull();
    expect((await client.send("GET", "/indexes/m1_1")).json.code).toBe("index_not_found");
    expect((await client.send("GET", "/indexes/m1_2/documents")).json.results).toEqual([{ id: 1 }]);
    const moved = (await client.send("GET", `/tasks/${first.uid}`)).json;
    expect(moved.indexUid).toBe("m1_2");
    expect(moved.customMetadata).toBe("s.1");

    const late = await client.run("POST", "/indexes/m1_1/documents?customMetadata=s.2", [{ id: 2 }], { key });
    expect(late.status).toBe("failed");
    expect(late.error.code).toBe("index_not_found");
    expect(late.details).toEqual({ receivedDocuments: 1, indexedDocuments: 0 });
    const lateSettings = await client.run("PATCH", "/indexes/m1_1/settings", { stopWords: ["a"] }, { key });
    expect(lateSettings.error.code).toBe("index_not_found");
    expect((await client.send("GET", "/indexes/m1_1")).status).toBe(404);
    const good = await client.run("POST", "/indexes/m1_2/documents", [{ id: 3 }], { key });
    expect(good.status).toBe("succeeded");

    const taken = await client.run("POST", "/swap-indexes", [{ indexes: ["m1_2", "no-key"], rename: true }]);
    expect(taken.error.code).toBe("index_already_exists");
    const missing = await client.run("POST", "/swap-indexes", [{ indexes: ["m1_1", "m1_3"], rename: true }]);
    expect(missing.error.code).toBe("index_not_found");
    // With the master key a late write makes the old name anew: the fence is the key.
    const anew = await client.run("POST", "/indexes/m1_1/documents", [{ id: 4 }]);
    expect(anew.status).toBe("succeeded");
  });

  it("f. bodies that are no documents are refused in these words", async () => {
    const { client } = node;
    const post = async (body: string, contentType: string | null) => {
      const { status, json } = await client.send("POST", "/indexes/bodies/documents", body, { contentType });
      return [status, json.code, json.message];
    };
    const malformed = (format: string, reason: string) => [
      400,
      "malformed_payload",
      `The \`${format}\` payload provided is malformed. \`Couldn't serialize document value: ${reason}\`.`,
    ];
    const accepted =
      "Accepted values for the Content-Type header are: `application/json`, `application/x-ndjson`, `text/csv`";
    expect(await post("[]", "text/plain")).toEqual([
      415,
      "invalid_content_type",
      `The Content-Type \`text/plain\` is invalid. ${accepted}`,
    ]);
    expect(await post("[]", null)).toEqual([
      415,
      "missing_content_type",
      `A Content-Type header is missing. ${accepted}`,
    ]);
    expect(await post("", "application/json")).toEqual([
      400,
      "missing_payload",
      "A json payload is missing.",
    ]);
    expect(await post("", "application/x-ndjson")).toEqual([
      400,
      "missing_payload",
      "A ndjson payload is missing.",
    ]);
    expect(await post("", "text/csv")).toEqual([400, "missing_payload", "A csv payload is missing."]);
    expect(await post("{", "application/json")).toEqual(
      malformed("json", "EOF while parsing an object at line 1 column 1"),
    );
    expect(await post('"x"', "application/json")).toEqual(
      malformed("json", "data are neither an object nor a list of objects"),
    );
    expect(await post("null", "application/json")).toEqual(
      malformed("json", "data are neither an object nor a list of objects"),
    );
    expect(await post('{"id":2}{"id":3}', "application/json")).toEqual(
      malformed("json", "trailing characters at line 1 column 9"),
    );
    expect(await post("[1]", "application/json")).toEqual([
      500,
      "internal",
      "invalid type: integer `1`, expected a map at line 1 column 1",
    ]);
    expect(await post('{"id":1}\n{', "application/x-ndjson")).toEqual(
      malformed("ndjson", "EOF while parsing an object at line 2 column 1"),
    );
    expect(await post("null", "application/x-ndjson")).toEqual([
      500,
      "internal",
      "invalid type: null, expected a map at line 1 column 4",
    ]);
    expect(await post("id,a\n1,2,3", "text/csv")).toEqual([
      400,
      "malformed_payload",
      "The `csv` payload provided is malformed: `CSV error: record 1 (line: 2, byte: 5): found record with 3 fields, but the previous record has 2 fields`.",
    ]);
    expect((await client.send("GET", "/indexes/bodies")).status).toBe(404);
  });

  it("g. totals are not cut by maxTotalHits, hits are", async () => {
    const { client } = node;
    await client.run("PATCH", "/indexes/fields/settings", { pagination: { maxTotalHits: 7 } });
    const answer = (await client.send("POST", "/indexes/fields/search", { limit: 100 })).json;
    expect(answer.hits).toHaveLength(7);
    expect(answer.estimatedTotalHits).toBe(documents.length);
    const page = (await client.send("POST", "/indexes/fields/search", { hitsPerPage: 4, page: 2 })).json;
    expect(page.hits).toHaveLength(3);
    expect([page.totalHits, page.totalPages]).toEqual([documents.length, 10]);
  });

  it("h. numbers come back as 64-bit integers or as the shortest double, members in the order of first sight", async () => {
    const { client } = node;
    const body =
      '[{"z":1.10,"id":1,"e":1e5,"f":1.0,"big":12345678901234567890,"odd":9007199254740993,"huge":123456789012345678901234567890,"neg":-0, "n": {"y" : [1 ,2.50]}},{"id":2,"odd":1,"z":2}]';
    await client.run("POST", "/indexes/numbers/documents", body);
    const { text } = await client.send("GET", "/indexes/numbers/documents");
    expect(text).toContain(
      '"e":100000.0,"f":1.0,"big":12345678901234567890,"odd":9007199254740993,"huge":1.2345678901234568e+29,"neg":-0.0,"n":{"y":[1,2.5]}}',
    );
  });
});
