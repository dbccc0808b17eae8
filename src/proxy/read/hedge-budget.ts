/** Hedges that may follow each other at once where there were none for a while. */
const BURST = 10;

/**
 * How many requests reads may send beside those that they need: a token bucket that every request to a node fills a little. Where all nodes
 * are slow, hedging all reads would double the load that made them so.
 */
export class HedgeBudget {
  private tokens: number;
  private readonly gain: number;
  private readonly burst: number;

  /** @param percent of the requests that are needed; 0 for none at all */
  constructor(percent: number) {
    this.gain = percent / 100;
    this.burst = percent > 0 ? BURST : 0;
    this.tokens = this.burst;
  }

  /** How many times longer than usual a node is waited for before a hedge: once with a full budget, thrice with an empty one, so that some is kept for a node that becomes slow. */
  patience(): number {
    return 1 + 2 * (1 - Math.max(0, this.tokens) / Math.max(1, this.burst));
  }

  /** A request that is needed was sent. */
  earn(): void {
    this.tokens = Math.min(this.burst, this.tokens + this.gain);
  }

  /** Whether so many requests more may be sent; they count as sent. */
  take(requests: number): boolean {
    if (this.tokens < requests) return false;
    this.tokens -= requests;
    return true;
  }

  /** A request more was sent that had to be: others wait for it to be earned. */
  charge(): void {
    this.tokens = Math.max(-this.burst, this.tokens - 1);
  }
}
