import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";

/** Texts of numbers that a parse and a print would change. */
const NUMBERS = [
  "9007199254740993",
  "18446744073709551615",
  "-9007199254740993",
  "12345678901234567890",
  "0.1000",
  "1.0",
  "3.141592653589793238462643",
];

describe("values pass byte for byte", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await startFleet({ nodes: 3, replicationFactor: 2, shards: 8 });
  });
  afterAll(() => fleet.stop());

  it("gives numbers back as the nodes hold them: as one node would", async () => {
    const { api } = fleet;
    const documents = NUMBERS.map((text, id) => `{"id":${id},"number":${text}}`);
    const { taskUid } = await api.ok<{ taskUid: number }>(
      "POST",
      "/indexes/numbers/documents?primaryKey=id",
      `[${documents.join(",")}]`,
    );
    await api.waitForTask(taskUid);
    const direct = await fleet.plainNodeAnswers(documents);
    for (const [id, expected] of direct.entries()) {
      const answer = await api.send("GET", `/indexes/numbers/documents/${id}`);
      expect(answer.text).toBe(expected);
    }
    const integers = NUMBERS.filter((text) => /^-?\d+$/.test(text));
    const search = await api.send("POST", "/indexes/numbers/search", { q: "" });
    for (const text of integers) expect(search.text).toContain(`"number":${text}`);
  });

  it("keeps integers above 2^53 apart as primary keys", async () => {
    const { api } = fleet;
    const { taskUid } = await api.ok<{ taskUid: number }>(
      "POST",
      "/indexes/keys/documents",
      '[{"id":9007199254740992,"n":"a"},{"id":9007199254740993,"n":"b"}]',
    );
    await api.waitForTask(taskUid);
    expect((await api.send("GET", "/indexes/keys/documents/9007199254740993")).text).toBe(
      '{"id":9007199254740993,"n":"b"}',
    );
    expect((await api.send("GET", "/indexes/keys/documents/9007199254740992")).text).toBe(
      '{"id":9007199254740992,"n":"a"}',
    );
  });
});
