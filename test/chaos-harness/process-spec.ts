/** What a Miroir process of a chaos run is told, and what it tells. */
export interface ProcessSpec {
  readonly role: "control" | "proxy";
  /** As in a configuration file. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Where this process reaches each node, by the address that the topology names. */
  readonly nodeUrls: Readonly<Record<string, string>>;
  /** Name of a fault to plant in this process. */
  readonly plantedFault?: string;
}

/** Sent to the process: from now on its wall clock is this far from the machine's. */
export interface ToChild {
  readonly clockOffsetMs: number;
}

/** Sent by the process once it listens. */
export interface ToParent {
  readonly ready: true;
}
