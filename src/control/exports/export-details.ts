import type { ExportRequest } from "../../gen/miroir/v1/exports_pb.js";
import { maskSecret } from "../../settings/mask-secret.js";

/** What of an export its task shows. */
export type ShownExport = Pick<ExportRequest, "url" | "apiKey" | "payloadSize">;

/** What was exported of one index, or is to be of those that match a pattern. */
export interface ExportedIndex {
  /** An index's uid, or a pattern. */
  readonly name: string;
  /** JSON; undefined for all documents. */
  readonly filterJson: string | undefined;
  readonly overrideSettings: boolean;
  /** Undefined before the export has run. */
  readonly matchedDocuments?: number;
}

/** The task's `details`, as Meilisearch prints them; the API key hidden. */
export function exportDetails(
  { url, apiKey, payloadSize }: ShownExport,
  indexes: readonly ExportedIndex[],
): string {
  const members = [`"url":${JSON.stringify(url)}`];
  if (apiKey !== undefined) members.push(`"apiKey":${JSON.stringify(maskSecret(apiKey))}`);
  if (payloadSize !== undefined) members.push(`"payloadSize":"${printByteSize(payloadSize)}"`);
  const entries = indexes.map(({ name, filterJson, overrideSettings, matchedDocuments }) => {
    const counted = matchedDocuments === undefined ? "" : `,"matched_documents":${matchedDocuments}`;
    return `${JSON.stringify(name)}:{"filter":${filterJson ?? null},"overrideSettings":${overrideSettings}${counted}}`;
  });
  return `{${members.join(",")},"indexes":{${entries.join(",")}}}`;
}

/** In ascending order of size. */
const UNITS: readonly (readonly [name: string, bytes: number])[] = [
  ["B", 1],
  ...["K", "M", "G", "T", "P", "E"].flatMap((letter, at): (readonly [string, number])[] => [
    [`${letter}B`, 1_000 ** (at + 1)],
    [`${letter}iB`, 1_024 ** (at + 1)],
  ]),
];

/** A size in the largest unit that it fills, decimal or binary, as Meilisearch prints it. */
export function printByteSize(bytes: bigint): string {
  const [name, unit] = UNITS.findLast(([, size]) => BigInt(size) <= bytes) ?? ["B", 1];
  return `${Number(bytes) / unit} ${name}`;
}
