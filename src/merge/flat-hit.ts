import { CLOSE_BRACE, COMMA, OPEN_BRACE } from "../json/bytes.js";
import { FoundRules } from "./found-rules.js";
import type { HitScan } from "./hit-scan.js";
import { INJECTED_BYTES, isInjected, SHARD_MEMBER_BYTES, startsAt } from "./injected-bytes.js";

const DETAILS = Buffer.from(',"_rankingScoreDetails":');

/**
 * What `scanHit` finds, for a hit whose document holds no object. Then the first brace within the hit is in the code of an injected field, or
 * begins its score details, so that one search over many bytes at a time finds the end of the document. Undefined where anything is
 * otherwise. No string looks like these names, as its quotes are escaped; names written with escapes are the caller's to exclude.
 *
 * @param previous the rules of another hit, which are likely to be written alike
 */
export function scanFlatHit(
  bytes: Buffer,
  start: number,
  previous: FoundRules | undefined,
): HitScan | undefined {
  const brace = bytes.indexOf(OPEN_BRACE, start + 1);
  if (brace === -1 || bytes[start] !== OPEN_BRACE) return undefined;
  const injected = injectedBefore(bytes, Math.max(start, brace - INJECTED_BYTES - DETAILS.length), brace);
  const details = injected + INJECTED_BYTES;
  if (injected === -1 || !startsAt(bytes, details, DETAILS)) return undefined;
  const rules = FoundRules.find(bytes, details + DETAILS.length, previous);
  if (rules === undefined || bytes[rules.end] !== CLOSE_BRACE) return undefined;
  const sequence = injected + SHARD_MEMBER_BYTES;
  return {
    end: rules.end + 1,
    marks: [
      { kind: "injected", keyStart: injected + 1, valueEnd: sequence },
      { kind: "injected", keyStart: sequence + 1, valueEnd: details },
      { kind: "details", keyStart: details + 1, valueEnd: rules.end },
    ],
    isCompact: true,
    rules,
  };
}

/** Where both injected fields are written that begin from `from` to `brace`; -1 where they are not. */
function injectedBefore(bytes: Buffer, from: number, brace: number): number {
  for (let at = brace; at >= from; at--) if (bytes[at] === COMMA && isInjected(bytes, at)) return at;
  return -1;
}
