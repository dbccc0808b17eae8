import { TaskType } from "../../gen/miroir/v1/tasks_pb.js";
import { objectMembers } from "../../json/members.js";
import { MeilisearchError } from "../../meilisearch/errors.js";
import { filterWithShards } from "../../merge/shard-filter.js";
import { holderRounds } from "../../placement/holder-rounds.js";
import { EXPIRES_AT_FIELD, sequenceCode } from "../../placement/injected-fields.js";
import { familyShards } from "../../placement/shard-family.js";
import { guardFunction } from "../../rhai/guarded-function.js";
import { checkedIndexUid } from "../http/api-errors.js";
import { clientFilter, type DeleteFilter, readJson } from "./delete-bodies.js";
import type { FilterPreflight } from "./filter-preflight.js";
import { reservedField } from "./refusals.js";
import type { Sequences } from "./sequences.js";
import { printSerdeValue, readSerdeValue } from "./serde-value.js";
import { allShards, recipients, type Standing } from "./standing.js";
import { indexNotFoundFailure } from "./task-failure.js";
import type { DocumentWriteRequest, WriteResult } from "./types.js";
import type { TaskDraft, WriteCore } from "./write-core.js";
import type { Round } from "./write-rounds.js";

/** A body that a node has found good. */
interface Edit {
  readonly source: string;
  readonly filter: DeleteFilter | undefined;
  /** JSON text as the client sent it. */
  readonly context: string | undefined;
}

/** Edits of documents by a function of the client's. */
export class DocumentEdits {
  constructor(
    private readonly core: WriteCore,
    private readonly preflight: FilterPreflight,
    private readonly sequences: Sequences,
  ) {}

  /**
   * Sends the function to every node of the index, guarded so that it can neither see nor change Miroir's fields. Nodes run it for all
   * documents in one task or for none, so that it goes out in rounds where replicas share only some of their shards.
   */
  async edit(request: DocumentWriteRequest, maxBytes: number, signal: AbortSignal): Promise<WriteResult> {
    const { indexUid } = request;
    const { contentType, contentEncoding, body } = request;
    const json = await readJson({ contentType, contentEncoding, body }, maxBytes);
    const edit = await this.checked(json, indexUid, signal);
    const { source, filter, context } = edit;
    checkedIndexUid(indexUid);
    return this.core.inLane(indexUid, signal, async () => {
      const index = this.core.catalogue.find(indexUid);
      const failed = draftOf(request, edit, 0);
      if (index === undefined) return this.core.finalTurn(failed, "", indexNotFoundFailure(indexUid));
      if (filter !== undefined) {
        const standing = await this.core.writerOf(index.instance).prepare();
        const failure = await this.preflight.checkAttributes(standing, filter.nodeJson);
        if (failure !== undefined) return this.core.finalTurn(failed, index.instance, failure);
      }
      const draft = draftOf(request, edit, null);
      const stamp = sequenceCode(this.sequences.reserve(index.instance, 1));
      const guarded = guardFunction(source, stamp, context !== undefined, draft.detailsJson);
      return this.core.dispatch({
        index,
        draft,
        touched: "all",
        rounds: roundsOf,
        kind: "document",
        asAdmin: true,
        request: (shards, name, metadata) => ({
          method: "POST",
          path: `/indexes/${name}/documents/edit?customMetadata=${encodeURIComponent(metadata)}`,
          contentType: "application/json",
          body: nodeBody(guarded, context, filter, this.codesOf(index.instance, shards)),
        }),
      });
    });
  }

  /** The shards whose codes to filter by, as of now: an index that is being cut into more has documents with old and new ones. */
  private codesOf(instance: string, shards: readonly number[]): readonly number[] {
    const index = this.core.context.topology.current()?.byInstance.get(instance);
    return index === undefined ? shards : familyShards(shards, index.shards, index.familyShards);
  }

  /**
   * Has a node look at the body with a context that no node takes, so that it says what else is wrong and enqueues nothing.
   *
   * @throws MeilisearchError as the node words it; `miroir_reserved_field` for a function that names a field of Miroir's
   */
  private async checked(body: Buffer, indexUid: string, signal: AbortSignal): Promise<Edit> {
    const path = `/indexes/${encodeURIComponent(indexUid)}/documents/edit`;
    const refusal = await this.preflight.refusal(path, withWrongContext(body), "the function", signal);
    if (refusal.body.code !== "invalid_document_edition_context") {
      throw new MeilisearchError(refusal.status, this.core.clean(refusal.body, indexUid));
    }
    const edit = readEdit(body);
    if (edit.context !== undefined && !edit.context.startsWith("{")) throw refusal;
    for (const [name] of edit.source.matchAll(/_miroir_\w*/g)) {
      if (name !== EXPIRES_AT_FIELD) throw reservedField(name);
    }
    return edit;
  }
}

/** All in one request a node where that cannot fail on some replicas only. */
function roundsOf(standing: Standing): readonly Round[] {
  const rounds = holderRounds(allShards(standing).map((shard) => recipients(standing, shard)));
  return rounds.length === 1 ? ["all"] : rounds;
}

function withWrongContext(body: Buffer): string {
  if (readSerdeValue(body).kind !== "object") return body.toString();
  const members = objectMembers(body).map(({ key, valueStart, valueEnd }) => {
    if (key === "context") return '"context":0';
    const filter = key === "filter" ? clientFilter(body, valueStart, valueEnd).nodeJson : undefined;
    return `${JSON.stringify(key)}:${filter ?? body.toString("utf8", valueStart, valueEnd)}`;
  });
  return `{${[...members, '"context":0'].join(",")}}`;
}

function readEdit(body: Buffer): Edit {
  let source = "";
  let filter: DeleteFilter | undefined;
  let context: string | undefined;
  for (const { key, valueStart, valueEnd } of objectMembers(body)) {
    const value = readSerdeValue(body, valueStart, valueEnd);
    if (key === "function" && value.kind === "string") source = value.value;
    if (key === "filter")
      filter = value.kind === "null" ? undefined : clientFilter(body, valueStart, valueEnd);
    if (key === "context")
      context = value.kind === "null" ? undefined : body.toString("utf8", valueStart, valueEnd);
  }
  return { source, filter, context };
}

function nodeBody(
  guarded: string,
  context: string | undefined,
  filter: DeleteFilter | undefined,
  shards: readonly number[],
): string {
  const asked = filter === undefined ? undefined : JSON.parse(filter.nodeJson);
  const narrowed = shards.length === 0 ? asked : filterWithShards(asked, shards);
  return [
    `{"function":${JSON.stringify(guarded)}`,
    ...(context === undefined ? [] : [`"context":${context}`]),
    ...(narrowed === undefined ? [] : [`"filter":${JSON.stringify(narrowed)}`]),
  ]
    .join(",")
    .concat("}");
}

function draftOf(
  request: DocumentWriteRequest,
  { source, filter, context }: Edit,
  edited: 0 | null,
): TaskDraft {
  const { indexUid, customMetadata } = request;
  const printedContext =
    context === undefined ? "null" : printSerdeValue(readSerdeValue(Buffer.from(context)));
  return {
    type: TaskType.DOCUMENT_EDITION,
    indexUid,
    customMetadata,
    detailsJson: [
      `{"editedDocuments":${edited}`,
      '"deletedDocuments":null',
      `"originalFilter":${JSON.stringify(filter?.printed ?? null)}`,
      `"context":${printedContext}`,
      `"function":${JSON.stringify(source)}}`,
    ].join(","),
  };
}
