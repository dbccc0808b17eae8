export type { AttributeView } from "./attribute-view.js";
export { compareScoreDetails } from "./compare.js";
export { type AskPart, completeFacets } from "./facet-completion.js";
export { facetOrderOf } from "./facets.js";
export { type FederatedAnswer, planFederatedQuery, printFederatedAnswer } from "./federated-answer.js";
export {
  facetsWithout,
  type IndexFacets,
  indexFacets,
  mergeIndexFacets,
} from "./federated-facets.js";
export { type MergedIndex, mergeIndexes, mergeQueries } from "./federated-merge.js";
export { type AnsweredQuery, type Union, unionAsks, unionOf } from "./federated-union.js";
export { cutShort, firstShare } from "./first-share.js";
export {
  countBodies,
  type FrequencyQuery,
  type FrequencyStep,
  frequencyQuery,
  frequencySteps,
  joinSteps,
} from "./frequency.js";
export { nextRound } from "./further-rounds.js";
export { type Hit, hitSize } from "./hit.js";
export { hideInjectedFields } from "./injected-fields.js";
export { mergedSearch, mergeSearch, totalAndFacets } from "./merge-search.js";
export type { MergedSearch } from "./merged-search.js";
export {
  type Ask,
  type AskRole,
  askBody,
  type Pagination,
  planSearch,
  type SearchPlan,
} from "./part-request.js";
export { type RankedQuery, rankingIncompatibility } from "./ranking-compatibility.js";
export { asksRanksFirst, type PagePlace, pagePlaces, placeAsk, ranksAsk, wholePage } from "./ranks-first.js";
export type { FurtherAnswers, PartAnswers } from "./round-answers.js";
export { parseScoreDetails, type RuleDetails, type ScoreDetails } from "./score-details.js";
export { printAnswer } from "./search-body.js";
export type {
  FacetOrder,
  Filter,
  IndexFacts,
  JsonObject,
  JsonValue,
  SearchParameters,
} from "./search-parameters.js";
export { filterWithShards } from "./shard-filter.js";
