import { checkInteger, checkTime } from "./limits.js";
import type { SessionState } from "./tables/sessions.js";

/** Refuses a state that a backend could not give back as it is. */
export function checkSession(state: SessionState): void {
  const what = `Session "${state.id}"`;
  const { lastWriteTaskUid, lastWriteAt, pinnedGroup, minSettingsVersion } = state;
  if (lastWriteTaskUid !== null) {
    checkInteger(lastWriteTaskUid, 0, Number.MAX_SAFE_INTEGER, `${what}: the uid of its last write`);
  }
  checkTime(lastWriteAt, `${what}: the time of its last write`);
  if (pinnedGroup !== null) checkInteger(pinnedGroup, 0, Number.MAX_SAFE_INTEGER, `${what}: its group`);
  checkInteger(minSettingsVersion, 0, Number.MAX_SAFE_INTEGER, `${what}: its settings version`);
}

/**
 * What a session's client must see after a report, whatever the order of reports: the newest write with its time and
 * group (a state without a write is the oldest; of equals the report's), and the highest settings version.
 * `lru-session-record.lua` does the same.
 */
export function mergeSession(stored: SessionState, report: SessionState): SessionState {
  const isNewest = (report.lastWriteTaskUid ?? -1) >= (stored.lastWriteTaskUid ?? -1);
  return {
    ...(isNewest ? report : stored),
    minSettingsVersion: Math.max(stored.minSettingsVersion, report.minSettingsVersion),
  };
}
