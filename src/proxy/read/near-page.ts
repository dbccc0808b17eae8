import { SEQUENCE_FIELD } from "../../placement/injected-fields.js";
import { fetchedDocuments, fetchRequest, withoutInjectedFields, withSequence } from "./document-fetch.js";
import {
  attributesOf,
  comparePlaces,
  type DocumentPlace,
  placeOf,
  type SortCriterion,
} from "./document-order.js";
import type { DocumentPage, PageRead } from "./document-page.js";

/** Reads a page with one round: every part gives its documents up to the page's end, from which those of the page are chosen. */
export async function nearPage(read: PageRead): Promise<DocumentPage> {
  const { criteria, indexUid, query, reader, shards, signal } = read;
  // The values to sort by are asked for apart where the client's fields do not hold them whole.
  const needsPlaces = query.fields !== undefined && criteria.length > 0;
  const result = await reader.read(
    indexUid,
    {
      requests: (ask, parts) => {
        const from = parts === "one" ? query.offset : 0;
        const count = parts === "one" ? query.limit : query.offset + query.limit;
        const documents = fetchRequest(query, ask, { from, count, fields: withSequence(query.fields) });
        if (parts === "one" || !needsPlaces) return [documents];
        const fields = [...attributesOf(criteria), SEQUENCE_FIELD];
        return [documents, fetchRequest({ ...query, retrieveVectors: false }, ask, { from, count, fields })];
      },
    },
    signal,
    shards,
  );
  const pages = result.answers.map(({ responses }) =>
    responses.map((response) => fetchedDocuments(response.body)),
  );
  const total = pages.reduce((sum, [documents]) => sum + (documents?.total ?? 0), 0);
  if (result.parts === "one") {
    const documents = pages[0]?.[0]?.documents ?? [];
    return { result, documents: documents.map(withoutInjectedFields), total };
  }
  const placed = pages.flatMap(([documents, places]) =>
    placeDocuments(documents?.documents ?? [], places?.documents, criteria),
  );
  placed.sort((a, b) => comparePlaces(a.place, b.place, criteria));
  const page = placed.slice(query.offset, query.offset + query.limit);
  return { result, documents: page.map(({ document }) => withoutInjectedFields(document)), total };
}

interface PlacedDocument {
  readonly document: Buffer;
  readonly place: DocumentPlace;
}

function placeDocuments(
  documents: readonly Buffer[],
  places: readonly Buffer[] | undefined,
  criteria: readonly SortCriterion[],
): PlacedDocument[] {
  if (places === undefined) {
    return documents.map((document) => ({ document, place: placeOf(document, criteria) }));
  }
  // The two answers may be of different moments; the sequence says what belongs together.
  const bySequence = new Map<string, DocumentPlace>();
  for (const bytes of places) {
    const place = placeOf(bytes, criteria);
    bySequence.set(place.sequence, place);
  }
  return documents.map((document) => {
    const own = placeOf(document, []);
    return { document, place: bySequence.get(own.sequence) ?? { ...own, values: [] } };
  });
}
