import Database from "better-sqlite3";
import { Cluster, Redis } from "ioredis";
import { parseStoreUrl } from "../../../src/store/store-location.js";
import type { BackendSpec } from "./harness.js";

/** How to write what no store would write. */
export interface Damage {
  /** Statements, run without the schema's checks. */
  readonly sqlite: string;
  /** Commands; the first argument of each that begins with `:` is a key, whose prefix is put in front. */
  readonly redis: readonly (readonly (string | number)[])[];
}

/** Writes past the store, as a fault or another program would. */
export async function damage(spec: BackendSpec, how: Damage): Promise<void> {
  const location = parseStoreUrl(spec.url);
  if (location.kind === "sqlite") {
    const db = new Database(location.path);
    try {
      db.pragma("ignore_check_constraints = ON");
      db.exec(how.sqlite);
    } finally {
      db.close();
    }
    return;
  }
  const { servers } = location;
  if (servers.kind === "sentinel") throw new Error("damage is done to single servers and to clusters");
  const client = servers.kind === "single" ? new Redis(servers.server) : new Cluster([...servers.seeds]);
  try {
    for (const [name = "", ...args] of how.redis) {
      const at = args.findIndex((arg) => String(arg).startsWith(":"));
      const keyed = args.map((arg, index) => (index === at ? `{${location.keyPrefix}}${arg}` : arg));
      await client.call(String(name), ...keyed);
    }
  } finally {
    client.disconnect();
  }
}
