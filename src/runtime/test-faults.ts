/**
 * What tests switch off, to see that it is missed: simulated runs without it have to be found wrong. Passed along with other options, never
 * read from configuration; nothing is switched off where none are given.
 */
export interface TestFaults {
  /** A proxy takes whatever topology it gets, an older one too (invariant 1). */
  readonly anyTopology?: boolean;
  /** A write is acknowledged once one replica has it (invariant 4). */
  readonly earlyAcknowledgement?: boolean;
  /** The writes of an index are sent without waiting for each other (invariant 6). */
  readonly unorderedWrites?: boolean;
}
