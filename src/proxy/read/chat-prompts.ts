import type { NodeAnswers } from "./node-answers.js";

/** What a chat tells the language model, members in Meilisearch's order. */
export interface ChatPrompts {
  readonly system: string;
  readonly searchDescription: string;
  readonly searchQParam: string;
  readonly searchFilterParam: string;
  readonly searchIndexUidParam: string;
}

/** A workspace of this name is made on a node for a moment, to see what it begins with; clients' are on no node. */
const PROBE = "/chats/miroir-probe";

/** Knows the prompts that a chat has unless a client sets others: those of the nodes' version of Meilisearch. */
export class DefaultPrompts {
  #known: ChatPrompts | undefined;

  constructor(private readonly nodes: NodeAnswers) {}

  /** Asks a node the first time. The experimental feature must be on. @throws MeilisearchError */
  async get(signal: AbortSignal): Promise<ChatPrompts> {
    if (this.#known !== undefined) return this.#known;
    const response = await this.nodes.ask(
      { method: "PATCH", path: `${PROBE}/settings`, body: '{"prompts":null}' },
      signal,
    );
    if (response.status !== 200)
      throw new Error(`a node does not tell its prompts: ${response.body.toString()}`);
    const { prompts } = JSON.parse(response.body.toString("utf8")) as { readonly prompts: ChatPrompts };
    await this.nodes.ask({ method: "DELETE", path: PROBE }, signal);
    this.#known = prompts;
    return prompts;
  }
}
