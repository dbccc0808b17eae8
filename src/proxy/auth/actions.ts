/** Which routes an action opens to a key whose indexes are restricted. */
export type IndexScope =
  /** None: such a key cannot be made, and is refused. */
  | "global"
  /** Any: the route itself looks at the indexes that a request concerns. */
  | "route"
  /** Those of an index that the key may use. */
  | "index"
  /** It stands for several actions, which have scopes of their own. */
  | "several";

interface ActionFacts {
  readonly scope: IndexScope;
  /** Whether `*.get` stands for it too. */
  readonly read: boolean;
}

const facts = (scope: IndexScope, read = false): ActionFacts => ({ scope, read });

/** Meilisearch's actions, in the order in which its messages list them. */
const ACTIONS = {
  "*": facts("several"),
  search: facts("route", true),
  "documents.*": facts("several"),
  "documents.add": facts("index"),
  "documents.get": facts("route", true),
  "documents.delete": facts("index"),
  "indexes.*": facts("several"),
  "indexes.create": facts("route"),
  "indexes.get": facts("route", true),
  "indexes.update": facts("index"),
  "indexes.delete": facts("index"),
  "indexes.swap": facts("route"),
  "tasks.*": facts("several"),
  "tasks.cancel": facts("route"),
  "tasks.delete": facts("route"),
  "tasks.get": facts("route", true),
  "settings.*": facts("several"),
  "settings.get": facts("route", true),
  "settings.update": facts("index"),
  "stats.*": facts("route"),
  "stats.get": facts("route", true),
  "metrics.*": facts("global"),
  "metrics.get": facts("global", true),
  "dumps.*": facts("global"),
  "dumps.create": facts("global"),
  "snapshots.*": facts("global"),
  "snapshots.create": facts("global"),
  version: facts("global", true),
  "keys.create": facts("global"),
  // Not a part of `*.get`: who may read keys may use them.
  "keys.get": facts("global"),
  "keys.update": facts("global"),
  "keys.delete": facts("global"),
  "experimental.get": facts("global", true),
  "experimental.update": facts("global"),
  export: facts("global", true),
  "network.get": facts("global", true),
  "network.update": facts("global"),
  chatCompletions: facts("route"),
  "chats.*": facts("global"),
  "chats.get": facts("global", true),
  "chats.delete": facts("global"),
  "chatsSettings.*": facts("global"),
  "chatsSettings.get": facts("global", true),
  "chatsSettings.update": facts("global"),
  "*.get": facts("several"),
  "webhooks.get": facts("global", true),
  "webhooks.update": facts("global"),
  "webhooks.delete": facts("global"),
  "webhooks.create": facts("global"),
  "webhooks.*": facts("global"),
  "indexes.compact": facts("index"),
  "fields.post": facts("index", true),
  "tasks.compact": facts("global"),
  "dynamicSearchRules.get": facts("global", true),
  "dynamicSearchRules.create": facts("global"),
  "dynamicSearchRules.update": facts("global"),
  "dynamicSearchRules.delete": facts("global"),
  "dynamicSearchRules.*": facts("global"),
} as const satisfies Readonly<Record<string, ActionFacts>>;

/** What a key may do. */
export type Action = keyof typeof ACTIONS;

/** Every action, in the order in which Meilisearch's messages list them. */
export const actionNames = Object.keys(ACTIONS) as readonly Action[];

/** Whether Meilisearch has an action of that name. */
export function isAction(name: string): name is Action {
  return Object.hasOwn(ACTIONS, name);
}

/** See {@link IndexScope}. */
export function indexScope(action: Action): IndexScope {
  return ACTIONS[action].scope;
}

/** The actions of keys themselves, which ask for a master key to be set. */
export function concernsKeys(action: Action): boolean {
  return action.startsWith("keys.");
}

/** Everything that a list of actions grants. */
export function grantedActions(actions: readonly Action[]): ReadonlySet<Action> {
  const granted = new Set<Action>();
  for (const action of actions) for (const one of expand(action)) granted.add(one);
  return granted;
}

function expand(action: Action): readonly Action[] {
  if (action === "*") return actionNames.filter((name) => name !== "*.get");
  if (action === "*.get") return actionNames.filter((name) => ACTIONS[name].read);
  if (!action.endsWith(".*")) return [action];
  const prefix = action.slice(0, -1);
  // `fields.post` has no wildcard of its own; `keys.*` is none of Meilisearch's.
  return actionNames.filter((name) => name.startsWith(prefix) && name !== action);
}
