import { errorLink, MeilisearchError } from "../../meilisearch/errors.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { physicalName } from "../../placement/physical-name.js";
import type { NodeView } from "../topology/topology-view.js";
import { nodeOf } from "./node-of.js";
import type { OpenSettings } from "./open-settings.js";
import { noQuorum } from "./refusals.js";
import { difference, type Standing } from "./standing.js";
import { indexTaskFailure, type TaskFailure } from "./task-failure.js";
import type { WriteCore } from "./write-core.js";

/** A name that no index on a node has. A search there parses its filter before it finds that out. */
const NO_INDEX = "miroir-no-such-index";
const PAUSE_MS = 100;

/** Finds out what a node would make of a filter, or of an edit, before it is sent as a write to all of them. */
export class FilterPreflight {
  constructor(
    private readonly core: WriteCore,
    private readonly openSettings: OpenSettings,
  ) {}

  /**
   * Refuses a filter that Meilisearch refuses at once: one it cannot parse.
   *
   * @throws MeilisearchError
   */
  async checkSyntax(filterJson: string, indexUid: string, signal: AbortSignal): Promise<void> {
    const path = `/indexes/${NO_INDEX}/search`;
    const { status, body } = await this.refusal(
      path,
      `{"filter":${filterJson},"limit":0}`,
      "the filter",
      signal,
    );
    if (body.code !== "index_not_found") throw syntaxRefusal(this.core.clean(body, indexUid), status);
  }

  /**
   * What a node says of a request that every node refuses.
   *
   * @param what is checked, for the message where no node answers
   * @throws MeilisearchError `miroir_no_quorum`
   */
  async refusal(path: string, body: string, what: string, signal: AbortSignal): Promise<MeilisearchError> {
    const nodes = [...(this.core.context.topology.current()?.nodes.values() ?? [])].sort(byReachability);
    let unavailable: unknown;
    for (const node of nodes) {
      signal.throwIfAborted();
      try {
        await this.core.context.calls.client(node.adminAddress).json({
          method: "POST",
          path,
          contentType: "application/json",
          body,
          timeoutMs: this.core.context.config.controlTimeoutMs,
        });
        throw new Error(`node ${node.id} took a request that was to be refused`);
      } catch (error) {
        if (
          error instanceof MeilisearchError &&
          error.status < 500 &&
          error.body.code !== "invalid_api_key"
        ) {
          return error;
        }
        if (!(error instanceof NodeUnavailableError) && !(error instanceof MeilisearchError)) throw error;
        unavailable = error;
      }
    }
    throw noQuorum(`no node answers to check ${what}`, { cause: unavailable });
  }

  /**
   * Why the nodes would fail the task: an attribute that is not filterable, an operator that is not allowed. A settings change in front may
   * still make the filter right, so that a refusal counts only once no change is open any more. Undefined for a filter that is good.
   *
   * @throws MeilisearchError `miroir_no_quorum` where no node tells
   */
  async checkAttributes(standing: Standing, filterJson: string): Promise<TaskFailure | undefined> {
    const { world, config, topology } = this.core.context;
    const deadline = world.clock.monotonic() + config.settingsWaitMs;
    for (;;) {
      const answer = await this.ask(standing, filterJson);
      if (answer === "good") return undefined;
      const late = world.clock.monotonic() >= deadline;
      if (answer !== "not-there" && answer !== "silent") {
        const open = this.openSettings.whenDone(standing.instance);
        const changing = topology.current()?.byInstance.get(standing.instance)?.settingsChanging === true;
        if (late || (open === undefined && !changing)) {
          const body = this.core.clean(answer.body, standing.uid);
          return indexTaskFailure(standing.uid, body.code, body.message);
        }
        await Promise.race([open ?? world.timers.sleep(PAUSE_MS), world.timers.sleep(config.settingsWaitMs)]);
        continue;
      }
      if (late) {
        throw noQuorum(
          answer === "silent"
            ? "no node answers to check the filter"
            : "the nodes have not created the index yet",
        );
      }
      await world.timers.sleep(PAUSE_MS);
    }
  }

  private async ask(
    standing: Standing,
    filterJson: string,
  ): Promise<"good" | "not-there" | "silent" | MeilisearchError> {
    const path = `/indexes/${physicalName(standing.instance, standing.generation)}/documents/fetch`;
    const nodes = [...difference(standing.members, standing.joiners)]
      .flatMap((nodeId) => nodeOf(this.core.context, nodeId) ?? [])
      .sort(byReachability);
    let seen: "not-there" | "silent" = "silent";
    for (const node of nodes) {
      try {
        await this.core.context.calls.client(node.writeAddress).json({
          method: "POST",
          path,
          contentType: "application/json",
          body: `{"filter":${filterJson},"limit":0}`,
          timeoutMs: this.core.context.config.controlTimeoutMs,
        });
        return "good";
      } catch (error) {
        if (error instanceof MeilisearchError && error.status === 400) return error;
        if (error instanceof MeilisearchError && error.body.code === "index_not_found") seen = "not-there";
        else if (!(error instanceof NodeUnavailableError) && !(error instanceof MeilisearchError))
          throw error;
      }
    }
    return seen;
  }
}

function byReachability(a: NodeView, b: NodeView): number {
  return Number(a.state === "unreachable") - Number(b.state === "unreachable");
}

/** A search's refusal of a filter, as the deletion route words it. */
function syntaxRefusal(body: MeilisearchError["body"], status: number): MeilisearchError {
  if (body.code !== "invalid_search_filter") return new MeilisearchError(status, body);
  const code = "invalid_document_filter";
  return new MeilisearchError(status, { ...body, code, link: errorLink(code) });
}
