import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CsvError, createCsvReader } from "../../../src/proxy/write/csv.js";

function readAll(body: Buffer, cuts: readonly number[] = [], maxRecordBytes = 1_000_000): string[] {
  const reader = createCsvReader(",", maxRecordBytes);
  const documents: Buffer[] = [];
  let from = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    if (cut <= from || cut >= body.length) continue;
    documents.push(...reader.push(body.subarray(from, cut)));
    from = cut;
  }
  documents.push(...reader.push(body.subarray(from)), ...reader.end());
  return documents.map(String);
}

const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;

describe("CSV", () => {
  it("reads back whatever text was written into quoted fields, however the body is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.string({ unit: "grapheme" }), fc.string()), { maxLength: 8 }),
        fc.array(fc.nat(400)),
        fc.constantFrom("\n", "\r\n", "\r"),
        (rows, cuts, end) => {
          const lines = [["id", "text"], ...rows].map((row) => row.map(quoted).join(","));
          const body = Buffer.from(lines.join(end) + end);
          const expected = rows.map(([id, text]) =>
            JSON.stringify({
              id: id === "" ? null : wellFormed(id),
              text: text === "" ? null : wellFormed(text),
            }),
          );
          expect(readAll(body, cuts)).toEqual(expected);
        },
      ),
    );
  });

  it("gives the same documents and errors however the body is cut", () => {
    const bytes = fc.array(fc.constantFrom(...Buffer.from('ab1,"\n\r:é\ufeff'), 0xff), { maxLength: 60 });
    fc.assert(
      fc.property(bytes, fc.array(fc.nat(60)), (body, cuts) => {
        const attempt = (at: readonly number[]) => {
          try {
            return readAll(Buffer.from(body), at);
          } catch (error) {
            expect(error).toBeInstanceOf(CsvError);
            return String(error);
          }
        };
        expect(attempt(cuts)).toEqual(attempt([]));
      }),
    );
  });

  it("types columns by their headers", () => {
    const body = "id:number,ok:boolean,t:string,x:y\n 7 , true ,,z\n1.50,,a,\n";
    expect(readAll(Buffer.from(body))).toEqual([
      '{"id":7,"ok":true,"t":null,"x:y":"z"}',
      '{"id":1.5,"ok":null,"t":"a","x:y":null}',
    ]);
  });

  it("holds no more than one record", () => {
    const body = Buffer.from(`id,text\n1,"${"x".repeat(2_000)}`);
    expect(() => readAll(body, [], 1_000)).toThrow(/larger than 1000 bytes/);
  });
});

/** UTF-8 has no lone surrogates; writing them gives the replacement character. */
function wellFormed(text: string): string {
  return Buffer.from(text).toString();
}
