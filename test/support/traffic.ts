/** Work that is done over and over. */
export interface Traffic {
  /** Ends it after the turn under way. Resolves with the number of turns; rejects with what one of them failed with. */
  stop(): Promise<number>;
}

/** Does `turn` again and again, one after the other, from turn 0 on, until it is stopped or one fails. */
export function startTraffic(turn: (at: number) => Promise<void>): Traffic {
  let over = false;
  const work = (async () => {
    let at = 0;
    for (; !over; at++) await turn(at);
    return at;
  })();
  // Whoever stops it sees the failure; until then nobody does.
  work.catch(() => undefined);
  return {
    stop: () => {
      over = true;
      return work;
    },
  };
}
