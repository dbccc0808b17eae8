import type { Frame } from "./cpu-profile.js";
import type { FrameGroup } from "./frame-sources.js";

const WIDTH = 1_200;
const ROW_HEIGHT = 16;
const HEAD_HEIGHT = 44;
const CHARACTER_WIDTH = 6.2;
const TEXT_INDENT = 3;
/** Names shorter than this tell nothing. */
const LEAST_CHARACTERS = 3;

/** What stands for whose code: the class of its rectangles, their colour, and what the key says. */
const GROUPS: Readonly<
  Record<FrameGroup, { readonly class: string; readonly colour: string; readonly key: string }>
> = {
  miroir: { class: "m", colour: "#e8a05a", key: "Miroir" },
  dependencies: { class: "d", colour: "#8fb3dc", key: "dependencies" },
  node: { class: "n", colour: "#9dcc8f", key: "Node.js" },
  native: { class: "v", colour: "#c9c4bd", key: "native code, system calls and garbage collection" },
};

/**
 * Draws a flame graph: each frame as wide as its share of the time, callees above callers, beside each other by name. Frames below
 * `leastPercent` are left out. The same tree gives the same bytes.
 */
export function drawFlameGraph(title: string, root: Frame, leastPercent: number): string {
  const least = (root.total * leastPercent) / 100;
  const depth = depthOf(root, least);
  const height = HEAD_HEIGHT + depth * ROW_HEIGHT;
  const parts: string[] = [];
  const draw = (frame: Frame, start: number, level: number): void => {
    parts.push(drawFrame(frame, root.total, start, height - (level + 1) * ROW_HEIGHT));
    let at = start;
    for (const child of drawnChildren(frame, least)) {
      draw(child, at, level + 1);
      at += child.total;
    }
  };
  draw(root, 0, 0);
  const styles = Object.values(GROUPS).map(({ class: name, colour }) => `.${name} rect{fill:${colour}}`);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}">`,
    `<title>${escaped(title)}</title>`,
    `<style>text{font:10px monospace;fill:#111}rect{stroke:#fff;stroke-width:.5}.h{font:bold 13px sans-serif}${styles.join("")}</style>`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="4" y="16" class="h">${escaped(title)}</text>`,
    ...drawKey(),
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function drawnChildren(frame: Frame, least: number): Frame[] {
  return [...frame.children.values()]
    .filter(({ total }) => total > 0 && total >= least)
    .sort((a, b) => compare(a.name, b.name) || compare(a.source.file, b.source.file));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function depthOf(frame: Frame, least: number): number {
  return 1 + Math.max(0, ...drawnChildren(frame, least).map((child) => depthOf(child, least)));
}

function drawFrame(frame: Frame, all: number, start: number, y: number): string {
  const x = (start / all) * WIDTH;
  const width = (frame.total / all) * WIDTH;
  const percent = (time: number): string => `${((100 * time) / all).toFixed(1)} %`;
  const { name, source } = frame;
  const place = source.file === "" ? name : `${name} ${source.file}`;
  const own = frame.self > 0 && frame.self < frame.total ? `, itself ${percent(frame.self)}` : "";
  const characters = Math.floor((width - 2 * TEXT_INDENT) / CHARACTER_WIDTH);
  const shown = name.length <= characters ? name : `${name.slice(0, characters - 1)}…`;
  const text =
    characters < LEAST_CHARACTERS
      ? ""
      : `<text x="${short(x + TEXT_INDENT)}" y="${y + ROW_HEIGHT - 4}">${escaped(shown)}</text>`;
  return `<g class="${GROUPS[source.group].class}"><title>${escaped(`${place}: ${percent(frame.total)}${own}`)}</title><rect x="${short(x)}" y="${y}" width="${short(width)}" height="${ROW_HEIGHT}"/>${text}</g>`;
}

function drawKey(): string[] {
  let x = 4;
  return Object.values(GROUPS).map(({ class: name, key }) => {
    const at = x;
    x += 24 + key.length * CHARACTER_WIDTH;
    return `<g class="${name}"><rect x="${short(at)}" y="24" width="10" height="10"/><text x="${short(at + 14)}" y="33">${key}</text></g>`;
  });
}

function short(value: number): string {
  return String(Number(value.toFixed(1)));
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
