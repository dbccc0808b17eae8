export type { AttributeView } from "./attribute-view.js";
export { compareScoreDetails } from "./compare.js";
export { hideInjectedFields } from "./injected-fields.js";
export { type FurtherAnswers, mergeSearch, nextRound, type PartAnswers } from "./merge-search.js";
export {
  type Ask,
  type AskRole,
  askBody,
  type Pagination,
  planSearch,
  type SearchPlan,
} from "./part-request.js";
export { parseScoreDetails, type RuleDetails, type ScoreDetails } from "./score-details.js";
export type {
  FacetOrder,
  Filter,
  IndexFacts,
  JsonObject,
  JsonValue,
  SearchParameters,
} from "./search-parameters.js";
export { filterWithShards } from "./shard-filter.js";
