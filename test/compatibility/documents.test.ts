import { afterAll, beforeAll, describe, expect } from "vitest";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { documentScripts } from "./document-requests.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";

const realIt = realNodeOnly();

describe("documents, as one Meilisearch answers", () => {
  let sides: SideBySide;
  beforeAll(async () => {
    if (hasRealNode) sides = await startSideBySide();
  });
  afterAll(() => sides?.stop());

  for (const script of documentScripts) {
    realIt(script.name, { timeout: 120_000, concurrent: true }, async () => {
      expect((await sides.compare(script)).join("\n")).toBe("");
    });
  }

  const reserved: readonly (readonly [
    what: string,
    method: string,
    path: string,
    body: string,
    type?: string,
  ])[] = [
    ["a document", "POST", "/documents", '{"id":1,"_miroir_x":1}'],
    ["a document behind good ones", "POST", "/documents", '[{"id":1},{"id":2,"_miroir_x":null}]'],
    ["an escaped name", "PUT", "/documents", '[{"id":1,"_mir\\u006fir_x":1}]'],
    ["NDJSON", "POST", "/documents", '{"id":1}\n{"id":2,"_miroir_shard":"("}', "application/x-ndjson"],
    ["CSV", "POST", "/documents", "id,_miroir_x\n1,2\n", "text/csv"],
    ["filterable attributes", "PUT", "/settings/filterable-attributes", '["_miroir_shard"]'],
    ["ranking rules", "PUT", "/settings/ranking-rules", '["_miroir_seq:asc"]'],
    ["the distinct attribute", "PATCH", "/settings", '{"distinctAttribute":"_miroir_seq"}'],
  ];
  for (const [what, method, path, body, type] of reserved) {
    realIt(`refuses a reserved name in ${what}, and writes nothing`, async () => {
      const { api } = sides.fleet;
      const index = "/indexes/reserved";
      const answer = await api.send(method, `${index}${path}`, body, type);
      expect(answer.status).toBe(400);
      expect(JSON.parse(answer.text)).toMatchObject({
        code: "miroir_reserved_field",
        type: "invalid_request",
        message: expect.stringContaining("_miroir_"),
      });
      expect((await api.send("GET", index)).status).toBe(404);
      expect(await api.ok("GET", "/tasks?indexUids=reserved")).toMatchObject({ results: [], total: 0 });
    });
  }
});
