import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ExportedIndexesSchema } from "../../gen/miroir/v1/exports_pb.js";
import { isIndexPattern } from "../../meilisearch/index-pattern.js";
import type { ExportRequest } from "../write/types.js";
import { apiError } from "./api-errors.js";
import { ByteSizeFault, parseByteSize } from "./byte-size.js";
import { asObject, parseJsonBody, unknownField, wrongType } from "./json-values.js";
import { readJsonBody } from "./request-body.js";
import { bodySource, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

type ExportedIndexes = MessageInitShape<typeof ExportedIndexesSchema>;

const FIELDS = ["url", "apiKey", "payloadSize", "indexes"] as const;
const INDEX_FIELDS = ["filter", "overrideSettings"] as const;
const SIZE_CODE = "invalid_export_payload_size";

/** `POST /export`: copies indexes to another Meilisearch; the control plane's work. */
export function registerExport(routes: RouteTable, services: RouteServices): void {
  const { writes, config } = services;
  routes.on(
    "POST",
    "/export",
    "export",
    services.writeRouter.handle(async (request) => {
      const body = parseJsonBody(await readJsonBody(bodySource(request), config.maxBodyBytes));
      return writes.export(readExport(body));
    }),
  );
}

function readExport(body: unknown): ExportRequest {
  let url = "";
  let apiKey: string | undefined;
  let payloadSize: bigint | undefined;
  let indexes: ExportedIndexes[] | undefined;
  for (const [name, value] of Object.entries(asObject(body))) {
    switch (name) {
      case "url":
        if (typeof value !== "string") throw wrongType(".url", "a string", value, "invalid_export_url");
        url = value;
        break;
      case "apiKey":
        if (value !== null && typeof value !== "string") {
          throw wrongType(".apiKey", "a string", value, "invalid_export_api_key");
        }
        apiKey = value ?? undefined;
        break;
      case "payloadSize":
        payloadSize = value === null ? undefined : readSize(value);
        break;
      case "indexes":
        indexes = value === null ? undefined : readIndexes(value);
        break;
      default:
        throw unknownField(name, FIELDS);
    }
  }
  return {
    url,
    indexes: indexes ?? [{ pattern: "*" }],
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(payloadSize === undefined ? {} : { payloadSize }),
  };
}

function readSize(value: unknown): bigint {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 64) {
    return BigInt(value);
  }
  if (typeof value !== "string") {
    throw wrongType(".payloadSize", "a positive integer or a string", value, SIZE_CODE);
  }
  const size = parseByteSize(value);
  if (!(size instanceof ByteSizeFault)) return size;
  throw apiError(400, SIZE_CODE, `Invalid value at \`.payloadSize\`: ${size.message}`);
}

/** In ascending order of pattern: an index takes the first that it matches. */
function readIndexes(value: unknown): ExportedIndexes[] {
  const entries = Object.entries(asObject(value, ".indexes")).map(([pattern, settings]) => {
    if (isIndexPattern(pattern)) return readIndexSettings(pattern, settings);
    throw apiError(
      400,
      "bad_request",
      `Invalid value at \`.indexes\`: the key ${JSON.stringify(pattern)} could not be deserialized into the key type \`meilisearch_types::index_uid_pattern::IndexUidPattern\``,
    );
  });
  return entries.sort((a, b) => (a.pattern < b.pattern ? -1 : 1));
}

function readIndexSettings(pattern: string, settings: unknown): ExportedIndexes & { pattern: string } {
  const path = `.indexes.${pattern}`;
  let filterJson: string | undefined;
  let overrideSettings = false;
  for (const [name, value] of Object.entries(asObject(settings, path))) {
    if (name === "filter") filterJson = value === null ? undefined : JSON.stringify(value);
    else if (name !== "overrideSettings") throw unknownField(name, INDEX_FIELDS, path);
    else if (typeof value === "boolean") overrideSettings = value;
    else {
      const code = "invalid_export_index_override_settings";
      throw wrongType(`${path}.overrideSettings`, "a boolean", value, code);
    }
  }
  return { pattern, overrideSettings, ...(filterJson === undefined ? {} : { filterJson }) };
}
