import { readFileSync, writeFileSync } from "node:fs";

/** Clock ticks in a second, as Linux counts them for every process. */
const TICKS_PER_SECOND = 100;

/**
 * Processor time that a process has used so far, all of its threads, its own and the kernel's, in milliseconds (steps of 10).
 *
 * @throws where there is no such process, or no Linux
 */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The name of the program may hold anything; what follows its closing parenthesis does not.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND;
}

/** Memory that a process holds now, and the most that it ever held, in bytes. */
export function memoryOf(pid: number): { readonly now: number; readonly most: number } {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
  return { now: kilobytes("VmRSS") * 1_024, most: kilobytes("VmHWM") * 1_024 };
}

/** Lets the most memory that a process ever held count from now. */
export function forgetMost(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}
