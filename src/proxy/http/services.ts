import type { Logger } from "pino";
import type { Task } from "../../gen/miroir/v1/tasks_pb.js";
import type { LogOutput } from "../../runtime/log-output.js";
import type { World } from "../../runtime/world.js";
import type { ControlTransport } from "../control-transport.js";
import type { DefaultPrompts } from "../read/chat-prompts.js";
import type { DocumentService } from "../read/documents.js";
import type { FacetSearchService } from "../read/facet-search.js";
import type { FieldsService } from "../read/fields.js";
import type { MultiSearchService } from "../read/multi-search.js";
import type { NodeRefusals } from "../read/node-refusals.js";
import type { RenderService } from "../read/render-template.js";
import type { SearchService } from "../read/search.js";
import type { SettingsReader } from "../read/settings-read.js";
import type { SimilarService } from "../read/similar.js";
import type { StatsService } from "../read/stats.js";
import type { VersionReader } from "../read/version.js";
import type { TopologySource, WriteLease } from "../topology/topology-view.js";
import type { WriteService } from "../write/write-service.js";
import type { ProxyConfig } from "./config.js";
import type { ProxyMetrics } from "./metrics.js";
import type { WriteRouter } from "./write-routing.js";

/** What the route groups answer from. */
export interface RouteServices {
  readonly world: World;
  readonly config: ProxyConfig;
  readonly topology: TopologySource;
  readonly lease: WriteLease;
  readonly control: ControlTransport;
  readonly writes: WriteService;
  readonly writeRouter: WriteRouter;
  readonly search: SearchService;
  readonly multiSearch: MultiSearchService;
  readonly facetSearch: FacetSearchService;
  readonly similar: SimilarService;
  readonly fields: FieldsService;
  readonly documents: DocumentService;
  readonly settings: SettingsReader;
  readonly render: RenderService;
  readonly defaultPrompts: DefaultPrompts;
  readonly stats: StatsService;
  readonly version: VersionReader;
  /** What nodes keep of an addition that is not finished. @throws MeilisearchError */
  readonly taskDocuments: (task: Task, signal: AbortSignal) => Promise<Buffer>;
  readonly refusals: NodeRefusals;
  readonly metrics: ProxyMetrics;
  readonly logger: Logger;
  /** Where the lines of `logger` go. */
  readonly logs: LogOutput;
  /** Whether the server has begun to stop. */
  readonly isStopping: () => boolean;
}
