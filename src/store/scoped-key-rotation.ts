import { ConflictError, InvalidArgumentError } from "./errors.js";
import type { ProxySession, ScopedKeyUid } from "./ids.js";
import { checkBatch, checkInteger, checkText, checkTime, checkTtl } from "./limits.js";
import type { ScopedKeyRetirement, ScopedKeyRow } from "./tables/search-ui.js";

/** For how long an observation counts unless it says so. */
export const defaultObservationTtlMs = 60_000;
/** Proxies observed on one index at a time. */
export const maxObservers = 10_000;

const maxIndexUidLength = 512;

/** A key to publish. */
export interface ScopedKeyChange {
  readonly indexUid: string;
  readonly uid: ScopedKeyUid;
  readonly expectedGeneration: number;
  readonly at: number;
}

/** A proxy at a generation. */
export interface ScopedKeyObservation {
  readonly indexUid: string;
  readonly proxy: ProxySession;
  readonly generation: number;
}

/** A key to retire. */
export interface ScopedKeyRetirementRequest {
  readonly indexUid: string;
  readonly generation: number;
  readonly liveProxies: readonly ProxySession[];
}

/** Refuses changes that are out of range. */
export function checkChange(change: ScopedKeyChange): void {
  checkIndexUid(change.indexUid);
  checkInteger(change.expectedGeneration, 0, Number.MAX_SAFE_INTEGER - 1, "The expected generation of a key");
  checkTime(change.at, "The time of a key's publication");
}

/** Refuses observations that are out of range. */
export function checkObservation(observation: ScopedKeyObservation, ttlMs: number): void {
  checkIndexUid(observation.indexUid);
  checkGeneration(observation.generation);
  checkTtl(ttlMs, "The life of an observation");
}

/** Refuses requests that are out of range. */
export function checkRetirement(request: ScopedKeyRetirementRequest): void {
  checkIndexUid(request.indexUid);
  checkGeneration(request.generation);
  checkBatch(request.liveProxies, "live proxies");
}

/** Refuses names that no index has. */
export function checkIndexUid(indexUid: string): void {
  if (indexUid.length === 0 || indexUid.length > maxIndexUidLength) {
    throw new InvalidArgumentError(
      `The uid of an index has 1 to ${maxIndexUidLength} characters, not ${indexUid.length}.`,
    );
  }
  checkText(indexUid, "The uid of an index");
}

/** The row once the key is published. Throws as `ScopedKeysTable.publish` rejects. */
export function published(row: ScopedKeyRow | undefined, change: ScopedKeyChange): ScopedKeyRow {
  const { indexUid, uid, expectedGeneration, at } = change;
  const generation = row?.generation ?? 0;
  if (generation !== expectedGeneration) {
    throw new ConflictError(
      `The scoped key of index "${indexUid}" is at generation ${generation}, not ${expectedGeneration}. Read it again.`,
    );
  }
  if (row !== undefined && row.previous !== null) {
    throw new ConflictError(
      `Index "${indexUid}" still has the key before generation ${generation}. Retire that one first.`,
    );
  }
  if (row?.primary === uid) {
    throw new InvalidArgumentError(
      `The key to publish for index "${indexUid}" is the one that it has. Make another key.`,
    );
  }
  return {
    indexUid,
    generation: generation + 1,
    primary: uid,
    previous: row?.primary ?? null,
    rotatedAt: at,
  };
}

/** The error of an index on which too many proxies are observed. */
export function tooManyObservers(indexUid: string): ConflictError {
  return new ConflictError(
    `${maxObservers} proxies are observed on index "${indexUid}" already. Wait until some are forgotten.`,
  );
}

/** Whether the key before `generation` can go. `observed`: what is not forgotten. */
export function decideRetirement(
  row: ScopedKeyRow | undefined,
  observed: ReadonlyMap<ProxySession, number>,
  { generation, liveProxies }: ScopedKeyRetirementRequest,
): ScopedKeyRetirement {
  if (row === undefined || row.generation !== generation || row.previous === null) {
    return { kind: "nothing-to-retire" };
  }
  const waiting = new Set<ProxySession>();
  for (const proxy of liveProxies) if ((observed.get(proxy) ?? 0) < generation) waiting.add(proxy);
  for (const [proxy, at] of observed) if (at < generation) waiting.add(proxy);
  if (waiting.size === 0) return { kind: "retired", uid: row.previous };
  return { kind: "waiting", proxies: inByteOrder(waiting) };
}

/** In ascending order of their bytes in UTF-8. */
export function inByteOrder<Text extends string>(texts: Iterable<Text>): Text[] {
  return [...texts]
    .map((text) => ({ text, bytes: Buffer.from(text) }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ text }) => text);
}

function checkGeneration(generation: number): void {
  checkInteger(generation, 1, Number.MAX_SAFE_INTEGER, "The generation of a key");
}
