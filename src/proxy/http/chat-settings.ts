import { maskSecret } from "../../settings/mask-secret.js";
import type { ChatPrompts } from "../read/chat-prompts.js";
import { apiError } from "./api-errors.js";
import { nullable, object, oneOf, type Reader, text } from "./body-schema.js";

const SOURCES = ["openAi", "mistral", "azureOpenAi", "vLlm"] as const;

/** The settings of a chat's workspace, members in Meilisearch's order. The API key is as the client gave it. */
export interface ChatSettings {
  readonly source: (typeof SOURCES)[number];
  readonly orgId: string | null;
  readonly projectId: string | null;
  readonly apiVersion: string | null;
  readonly deploymentId: string | null;
  readonly baseUrl: string | null;
  readonly apiKey: string | null;
  readonly prompts: ChatPrompts;
}

/** A change as clients ask for it: absent leaves as it is, null takes the default. */
export type ChatSettingsChange = {
  readonly [K in Exclude<keyof ChatSettings, "prompts">]?: ChatSettings[K] | null;
} & { readonly prompts?: { readonly [K in keyof ChatPrompts]?: string | null } | null };

const optionalText = (name: string) => ({
  read: nullable(text),
  code: `invalid_chat_completion_${name}`,
});

/** Reads a change. */
export const readChatSettings: Reader<ChatSettingsChange> = object({
  source: { read: nullable(oneOf(SOURCES)) },
  orgId: optionalText("org_id"),
  projectId: optionalText("project_id"),
  apiVersion: optionalText("api_version"),
  deploymentId: optionalText("deployment_id"),
  baseUrl: optionalText("base_api"),
  apiKey: optionalText("api_key"),
  prompts: {
    read: nullable(
      object({
        system: optionalText("system_prompt"),
        searchDescription: optionalText("search_description_prompt"),
        searchQParam: optionalText("search_query_param_prompt"),
        searchFilterParam: optionalText("search_filter_param_prompt"),
        searchIndexUidParam: optionalText("search_index_uid_param_prompt"),
      }),
    ),
  },
});

/** What a workspace has before anything is set. */
export function defaultChatSettings(prompts: ChatPrompts): ChatSettings {
  return {
    source: "openAi",
    orgId: null,
    projectId: null,
    apiVersion: null,
    deploymentId: null,
    baseUrl: null,
    apiKey: null,
    prompts,
  };
}

/**
 * The settings after a change.
 *
 * @throws MeilisearchError where the source needs what is not set
 */
export function changedChatSettings(
  held: ChatSettings,
  change: ChatSettingsChange,
  defaults: ChatSettings,
): ChatSettings {
  const { prompts, ...others } = change;
  const changed: ChatSettings = {
    ...withChange(held, others, defaults),
    prompts: prompts === null ? defaults.prompts : withChange(held.prompts, prompts ?? {}, defaults.prompts),
  };
  const { source, baseUrl, deploymentId, apiVersion } = changed;
  if (source === "azureOpenAi" && (baseUrl === null || deploymentId === null || apiVersion === null)) {
    throw lacking("azureOpenAi requires setting a valid `baseUrl`, `deploymentId`, and `apiVersion`");
  }
  if (source === "vLlm" && baseUrl === null) throw lacking("vLlm requires setting a valid `baseUrl`");
  return changed;
}

/** The settings as clients are shown them, JSON. */
export function printChatSettings(settings: ChatSettings): string {
  const { apiKey } = settings;
  return JSON.stringify({ ...settings, apiKey: apiKey === null ? null : maskSecret(apiKey) });
}

function withChange<T extends object>(
  held: T,
  change: { readonly [K in keyof T]?: T[K] | null },
  defaults: T,
): T {
  const changed = { ...held };
  for (const name of Object.keys(change) as (keyof T)[]) {
    const value = change[name];
    if (value !== undefined) changed[name] = value === null ? defaults[name] : value;
  }
  return changed;
}

function lacking(message: string) {
  return apiError(400, "bad_request", message);
}
