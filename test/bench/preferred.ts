import { readdirSync } from "node:fs";
import { setPriority } from "node:os";

/** As far as a process may be preferred without standing in the way of the system's own. */
const NICENESS = -15;

/**
 * Has the scheduler prefer all threads that processes have now, so that what measures and what answers from memory do not wait for what is
 * measured, as on machines of their own.
 *
 * @returns false where the system does not let this process do so
 */
export function prefer(pids: readonly number[]): boolean {
  try {
    for (const pid of pids)
      for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), NICENESS);
    return true;
  } catch (error) {
    const { info } = error as { readonly info?: { readonly code?: string } };
    if (info?.code === "EACCES" || info?.code === "EPERM") return false;
    throw error;
  }
}
