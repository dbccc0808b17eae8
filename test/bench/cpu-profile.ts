import { areaOf, type FrameGroup, type FrameSource } from "./frame-sources.js";

/** What V8 writes to a `.cpuprofile`; times in microseconds, lines from 0. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** A function as one caller's callee, with the time of it. Microseconds. */
export interface Frame {
  readonly name: string;
  readonly source: FrameSource;
  /** Spent in the function itself. */
  self: number;
  /** Spent in it and in what it called. */
  total: number;
  readonly children: Map<string, Frame>;
}

const IDLE = "(idle)";

/** Makes one tree of a profile; its root is the whole. Time in which nothing was to be done is left out. */
export function frameTree(profile: CpuProfile, sourceOf: (url: string, line: number) => FrameSource): Frame {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const times = new Map<number, number>();
  for (const [at, id] of profile.samples.entries())
    times.set(id, (times.get(id) ?? 0) + Math.max(0, profile.timeDeltas[at + 1] ?? 0));
  const root = emptyFrame("all", { group: "native", file: "" });
  const [top] = profile.nodes;
  const pending: { readonly id: number; readonly caller: Frame }[] = (top?.children ?? []).map((id) => ({
    id,
    caller: root,
  }));
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const node = nodes.get(next.id);
    if (node === undefined || node.callFrame.functionName === IDLE) continue;
    const { functionName, lineNumber, url } = node.callFrame;
    const name = functionName === "" ? "(anonymous)" : functionName;
    const source = sourceOf(url, lineNumber);
    const key = `${name}\n${source.file}`;
    const frame = next.caller.children.get(key) ?? emptyFrame(name, source);
    next.caller.children.set(key, frame);
    frame.self += times.get(next.id) ?? 0;
    for (const id of node.children ?? []) pending.push({ id, caller: frame });
  }
  addUp(root);
  return root;
}

function emptyFrame(name: string, source: FrameSource): Frame {
  return { name, source, self: 0, total: 0, children: new Map() };
}

function addUp(frame: Frame): number {
  frame.total = frame.self;
  for (const child of frame.children.values()) frame.total += addUp(child);
  return frame.total;
}

/** A part of all of a profile's time. */
export interface Share {
  readonly group: FrameGroup;
  readonly name: string;
  readonly percent: number;
}

/** Whose code took the time: by group, by part of the program and by function; calls to others are theirs. Greatest first. */
export function shares(root: Frame): {
  readonly groups: readonly Share[];
  readonly areas: readonly Share[];
  readonly functions: readonly Share[];
} {
  const frames: Frame[] = [];
  const visit = (frame: Frame): void => {
    frames.push(frame);
    for (const child of frame.children.values()) visit(child);
  };
  visit(root);
  const by = (nameOf: (frame: Frame) => string): Share[] => {
    const sums = new Map<string, { readonly group: FrameGroup; readonly name: string; self: number }>();
    for (const frame of frames) {
      const { group } = frame.source;
      const name = nameOf(frame);
      const sum = sums.get(`${group}\n${name}`) ?? { group, name, self: 0 };
      sum.self += frame.self;
      sums.set(`${group}\n${name}`, sum);
    }
    return [...sums.values()]
      .filter(({ self }) => self > 0)
      .sort((a, b) => b.self - a.self || (a.name < b.name ? -1 : 1))
      .map(({ group, name, self }) => ({ group, name, percent: (100 * self) / root.total }));
  };
  return {
    groups: by(({ source }) => source.group),
    areas: by(({ name, source }) => areaOf(source, name)),
    functions: by(({ name, source }) => (source.file === "" ? name : `${name} (${source.file})`)),
  };
}
