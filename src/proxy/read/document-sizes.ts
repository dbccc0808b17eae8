import { hitSize, type MergedSearch, type SearchPlan } from "../../merge/index.js";
import type { IndexView } from "../topology/topology-view.js";

/** Share of the newest answer in the average. */
const WEIGHT = 0.2;

/** How large an index's documents are, as seen in answers that held them whole. Forgotten with the topology. */
export class DocumentSizes {
  private readonly bytes = new WeakMap<IndexView, number>();

  /** Bytes of a document on average; 0 while none was seen. */
  of(index: IndexView): number {
    return this.bytes.get(index) ?? 0;
  }

  /** Learns from the hits of a search, where they are whole documents and nothing else. */
  learn(index: IndexView, plan: SearchPlan, { page }: MergedSearch): void {
    if (page.length === 0 || plan.view.toRetrieve !== undefined) return;
    let sum = 0;
    for (const hit of page) sum += hitSize(hit);
    const average = sum / page.length;
    const known = this.bytes.get(index);
    this.bytes.set(index, known === undefined ? average : known + WEIGHT * (average - known));
  }
}
