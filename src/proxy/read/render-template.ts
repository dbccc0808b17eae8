import { setMember } from "../../json/edit.js";
import { findMember } from "../../json/members.js";
import { MeilisearchError } from "../../meilisearch/errors.js";
import type { NodeResponse } from "../../meilisearch/transport.js";
import type { ShardHasher } from "../../placement/shard.js";
import { guardTemplate, unguardMessage, unguardTemplate } from "../../settings/document-templates.js";
import { apiError } from "../http/api-errors.js";
import { invalidKey } from "../http/authentication.js";
import type { IndexView, NodeView, TopologySource } from "../topology/topology-view.js";
import type { DocumentService } from "./documents.js";
import { currentView } from "./indexes.js";
import type { NodeAnswers } from "./node-answers.js";
import { clientError } from "./node-refusals.js";

/** Renders templates as a node does. */
export interface RenderService {
  /**
   * A node's answer to a request to render.
   *
   * @param body the client's, JSON
   * @param allows whether the client may touch an index
   * @throws MeilisearchError
   */
  render(body: Buffer, allows: (indexUid: string) => boolean, signal: AbortSignal): Promise<Buffer>;
}

/** What a render service works with. */
export interface RenderDependencies {
  readonly topology: TopologySource;
  readonly nodes: NodeAnswers;
  readonly documents: DocumentService;
  readonly hasher: ShardHasher;
}

/** No index on any node has that name. */
const NO_INDEX = "miroir-none";

/** A document that is named in the request, and nothing else of its input. */
interface NamedDocument {
  readonly indexUid: string;
  readonly id: string;
}

/** What of a request concerns Miroir. */
interface Asked {
  readonly templateUid: string | undefined;
  readonly inputUid: string | undefined;
  readonly document: NamedDocument | undefined;
}

/**
 * Carries the answers of nodes. A document of an index is taken from its shard and put into the request, so that the template sees no
 * field of Miroir's; where the template asks which fields are searchable, and not all are, the node that holds the document renders it.
 */
export function createRenderService(dependencies: RenderDependencies): RenderService {
  const { topology, nodes, documents, hasher } = dependencies;

  const indexOf = (uid: string | undefined): IndexView | undefined =>
    uid === undefined ? undefined : currentView(topology).indexes.get(uid);

  /** Sends a request under the nodes' names. @throws MeilisearchError a refusal, under the client's names */
  const send = async (
    body: Buffer,
    asked: Asked,
    signal: AbortSignal,
    holders?: readonly string[],
  ): Promise<Buffer> => {
    const [template, input] = [indexOf(asked.templateUid), indexOf(asked.inputUid)];
    const named = withName(
      withName(body, "template", asked.templateUid, template),
      "input",
      asked.inputUid,
      input,
    );
    const holds = (node: NodeView): boolean =>
      holders?.includes(node.id) !== false &&
      [template ?? input].every((index) => index === undefined || index.replicas.get(node.id) === "in_sync");
    const response = await nodes.ask(
      { method: "POST", path: "/render-template", body: named },
      signal,
      holds,
    );
    if (response.status === 200) return withClientTemplate(response.body);
    throw refusal(response, [asked.templateUid, asked.inputUid], [template, input]);
  };

  const ofDocument = async (
    body: Buffer,
    asked: Asked,
    { indexUid, id }: NamedDocument,
    index: IndexView,
    signal: AbortSignal,
  ): Promise<Buffer> => {
    const template = indexOf(asked.templateUid);
    if (asksForSearchability(body, template, index)) {
      const holders = index.placement[hasher.shardOf(id, index.shards)]?.filter((nodeId) =>
        [index, template].every((one) => one === undefined || one.replicas.get(nodeId) === "in_sync"),
      );
      if (holders?.length) return send(withGuardedTemplate(body), asked, signal, holders);
    }
    const document = await documents.get(indexUid, id, "", signal).catch((error: unknown) => {
      if (error instanceof MeilisearchError && error.status === 404) return undefined;
      throw error;
    });
    if (document === undefined) {
      // What is wrong with the template comes first.
      await send(setMember(body, "input", "null"), { ...asked, inputUid: undefined }, signal);
      throw documentNotFound(id, indexUid);
    }
    const inline = Buffer.concat([
      Buffer.from('{"kind":"inlineDocument","inline":'),
      Buffer.from(document.body),
      Buffer.from("}"),
    ]);
    return send(setMember(body, "input", inline), { ...asked, inputUid: undefined }, signal);
  };

  return {
    async render(body, allows, signal) {
      const asked = askedOf(body);
      const { templateUid, inputUid, document } = asked;
      if (![templateUid, inputUid].every((uid) => uid === undefined || allows(uid))) {
        throw await refusalBeforeIndexes(() => send(body, asked, signal));
      }
      const index = indexOf(document?.indexUid);
      if (document === undefined || index === undefined) return send(body, asked, signal);
      return ofDocument(body, asked, document, index, signal);
    },
  };
}

/** What a node says of a request before it looks whether the key may touch its indexes. */
async function refusalBeforeIndexes(send: () => Promise<unknown>): Promise<MeilisearchError> {
  try {
    await send();
  } catch (error) {
    if (!(error instanceof MeilisearchError)) throw error;
    if (!/^(error while |Cannot open index)/.test(error.body.message)) return error;
  }
  return invalidKey();
}

function askedOf(body: Buffer): Asked {
  const request = asMembers(JSON.parse(body.toString("utf8")));
  const [template, input] = [asMembers(request?.template), asMembers(request?.input)];
  const { kind, indexUid, id, inline = null, ...others } = input ?? {};
  const isDocument =
    kind === "indexDocument" &&
    typeof indexUid === "string" &&
    typeof id === "string" &&
    inline === null &&
    Object.keys(others).length === 0;
  return {
    templateUid: textOf(template?.indexUid),
    inputUid: textOf(indexUid),
    document: isDocument ? { indexUid, id } : undefined,
  };
}

function asMembers(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** The request with a node's name of an index in one of its members; what can be no name stays for the node to refuse. */
function withName(
  body: Buffer,
  member: string,
  uid: string | undefined,
  index: IndexView | undefined,
): Buffer {
  const part = uid === undefined || !/^[\w-]+$/.test(uid) ? undefined : findMember(body, member);
  if (part === undefined) return body;
  const name = JSON.stringify(index?.physicalName ?? NO_INDEX);
  return setMember(body, member, setMember(body.subarray(part.valueStart, part.valueEnd), "indexUid", name));
}

/** A template of the client's own that passes over Miroir's fields. */
function withGuardedTemplate(body: Buffer): Buffer {
  const template = findMember(body, "template");
  const part = template && body.subarray(template.valueStart, template.valueEnd);
  const inline = part && memberText(part, "inline");
  if (part === undefined || inline === undefined) return body;
  return setMember(body, "template", setMember(part, "inline", JSON.stringify(guardTemplate(inline))));
}

/** A node's answer with the template as the client wrote it. */
function withClientTemplate(answer: Buffer): Buffer {
  const sent = memberText(answer, "template");
  if (sent === undefined) return answer;
  const template = unguardTemplate(sent);
  return template === sent ? answer : setMember(answer, "template", JSON.stringify(template));
}

function memberText(object: Buffer, name: string): string | undefined {
  const member = findMember(object, name);
  return textOf(member && JSON.parse(object.toString("utf8", member.valueStart, member.valueEnd)));
}

/** Whether what is rendered depends on which fields are searchable, beside the document. */
function asksForSearchability(body: Buffer, template: IndexView | undefined, index: IndexView): boolean {
  const searchable = index.settings.searchableAttributes;
  if (!Array.isArray(searchable) || searchable.includes("*")) return false;
  return body.includes("is_searchable") || JSON.stringify(template?.settings ?? {}).includes("is_searchable");
}

/** A node's refusal under the client's names. */
function refusal(
  response: NodeResponse,
  uids: readonly (string | undefined)[],
  indexes: readonly (IndexView | undefined)[],
): MeilisearchError {
  const missing = uids.find((uid, at) => uid !== undefined && indexes[at] === undefined);
  const { status, body } = clientError(response, NO_INDEX, missing ?? NO_INDEX);
  const message = indexes.reduce(
    (text, index) => (index === undefined ? text : text.replaceAll(index.physicalName, index.uid)),
    unguardMessage(body.message),
  );
  return new MeilisearchError(status, { ...body, message });
}

function documentNotFound(id: string, indexUid: string): MeilisearchError {
  return apiError(
    404,
    "render_document_not_found",
    `error while fetching input: document \`${id}\` not found in \`${indexUid}\``,
  );
}
