import { compareUtf8 } from "../../merge/text-order.js";
import { currentView } from "../read/indexes.js";
import { apiError, checkedIndexUid, featureNotAvailable } from "./api-errors.js";
import {
  type ChatSettings,
  changedChatSettings,
  defaultChatSettings,
  printChatSettings,
  readChatSettings,
} from "./chat-settings.js";
import { requireFeature } from "./feature-gate.js";
import { parseJsonBody } from "./json-values.js";
import { nodeVerdict } from "./node-verdict.js";
import { readParameters, unsigned64 } from "./query-parameters.js";
import { readJsonBody } from "./request-body.js";
import { changeResource } from "./resource-change.js";
import { bodySource, parameter, type RouteRequest, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

const PREFIX = "chats/";
const PAGE_PARAMETERS = {
  offset: { code: "invalid_index_offset", read: unsigned64 },
  limit: { code: "invalid_index_limit", read: unsigned64 },
} as const;
const DEFAULT_LIMIT = 20;
const SETTINGS_ACTION = "using the /chats/settings route";
/** Longest uid of a workspace, in bytes of UTF-8: names of resources are bounded. */
const MAX_UID_BYTES = 384;
/** No node has a workspace of this name. */
const NO_WORKSPACE = "miroir-none";

/** Workspaces of Meilisearch's experimental chats and their settings, which no node knows. */
export function registerChats(routes: RouteTable, services: RouteServices): void {
  const { topology, config, defaultPrompts, refusals } = services;
  const gate = (action: string): void => requireFeature(topology, "chatCompletions", action);
  const jsonOf = (uid: string): string | undefined => currentView(topology).resources.get(nameOf(uid))?.json;
  const settingsOf = (uid: string): ChatSettings => {
    const json = jsonOf(uid);
    if (json === undefined) throw settingsNotFound(uid);
    return JSON.parse(json) as ChatSettings;
  };
  const set = (uid: string, make: (held: string | undefined) => string | undefined, request: RouteRequest) =>
    changeResource(services, nameOf(uid), make, request.signal);

  routes.on("GET", "/chats", "chats.get", async (request) => {
    const { offset = 0, limit = DEFAULT_LIMIT } = readParameters(request.query, PAGE_PARAMETERS);
    gate("listing the chats");
    const uids = [...currentView(topology).resources.keys()]
      .filter((name) => name.startsWith(PREFIX))
      .map((name) => Buffer.from(name.slice(PREFIX.length), "base64url").toString())
      .sort(compareUtf8);
    const results = uids.slice(offset, offset + limit).map((uid) => ({ uid }));
    return { status: 200, body: JSON.stringify({ results, offset, limit, total: uids.length }) };
  });

  routes.on("GET", "/chats/:workspaceUid", "chats.get", async (request) => {
    gate("displaying a chat");
    const uid = checkedIndexUid(parameter(request, "workspaceUid"));
    if (jsonOf(uid) === undefined) throw workspaceNotFound(uid);
    return { status: 200, body: JSON.stringify({ uid }) };
  });

  routes.on("DELETE", "/chats/:workspaceUid", "chats.delete", async (request) => {
    gate("deleting a chat");
    const uid = parameter(request, "workspaceUid");
    const remove = (held: string | undefined): undefined => {
      if (held === undefined) throw workspaceNotFound(uid);
    };
    await set(uid, remove, request);
    return { status: 204 };
  });

  routes.on("GET", "/chats/:workspaceUid/settings", "chatsSettings.get", async (request) => {
    gate(SETTINGS_ACTION);
    return { status: 200, body: printChatSettings(settingsOf(parameter(request, "workspaceUid"))) };
  });

  routes.on("PATCH", "/chats/:workspaceUid/settings", "chatsSettings.update", async (request) => {
    const body = parseJsonBody(await readJsonBody(bodySource(request), config.maxBodyBytes));
    const change = readChatSettings(body, "", "bad_request");
    gate(SETTINGS_ACTION);
    const uid = parameter(request, "workspaceUid");
    if (Buffer.byteLength(uid) > MAX_UID_BYTES) throw uidTooLong();
    const defaults = defaultChatSettings(await defaultPrompts.get(request.signal));
    const make = (held: string | undefined): string => {
      const settings = held === undefined ? defaults : (JSON.parse(held) as ChatSettings);
      return JSON.stringify(changedChatSettings(settings, change, defaults));
    };
    await set(uid, make, request);
    return { status: 200, body: printChatSettings(settingsOf(uid)) };
  });

  routes.on("DELETE", "/chats/:workspaceUid/settings", "chatsSettings.update", async (request) => {
    gate(SETTINGS_ACTION);
    const uid = parameter(request, "workspaceUid");
    settingsOf(uid);
    const defaults = defaultChatSettings(await defaultPrompts.get(request.signal));
    const reset = (held: string | undefined): string => {
      if (held === undefined) throw settingsNotFound(uid);
      return JSON.stringify(defaults);
    };
    await set(uid, reset, request);
    return { status: 200, body: printChatSettings(settingsOf(uid)) };
  });

  routes.on("POST", "/chats/:workspaceUid/chat/completions", "chatCompletions", async (request) => {
    const uid = parameter(request, "workspaceUid");
    const body = await readJsonBody(bodySource(request), config.maxBodyBytes);
    parseJsonBody(body);
    const path = `/chats/${NO_WORKSPACE}/chat/completions`;
    const refusal = await nodeVerdict(refusals, { method: "POST", path, body }, request.signal);
    if (refusal.body.code !== "chat_not_found") throw refusal;
    settingsOf(uid);
    throw featureNotAvailable(
      "`POST /chats/{workspaceUid}/chat/completions`",
      "The conversation with the language model runs inside one Meilisearch, which would search its own part of each index alone. Search through Miroir, and give the hits to the model.",
    );
  });
}

function nameOf(uid: string): string {
  return `${PREFIX}${Buffer.from(uid).toString("base64url")}`;
}

function workspaceNotFound(uid: string) {
  return apiError(404, "chat_not_found", `chat ${uid} not found`);
}

function settingsNotFound(uid: string) {
  return apiError(404, "chat_not_found", `Chat \`${uid}\` not found`);
}

function uidTooLong() {
  return apiError(400, "bad_request", `The uid of a workspace has at most ${MAX_UID_BYTES} bytes.`);
}
