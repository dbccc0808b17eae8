import type { Spread } from "./quantiles.js";

/** One bar, with how far the repeats lay apart. */
export interface Bar {
  readonly label: string;
  readonly value: Spread;
}

/** Bars of one unit under a heading. */
export interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 760;
const LABEL_WIDTH = 150;
const VALUE_WIDTH = 110;
const BAR_HEIGHT = 18;
const ROW_HEIGHT = 26;
const TITLE_HEIGHT = 34;
const MARGIN = 16;
const BAR_SPACE = WIDTH - 2 * MARGIN - LABEL_WIDTH - VALUE_WIDTH;

/** Draws panels of bars one above the other. Each panel has a scale of its own, which begins at 0; a line spans each bar's repeats. */
export function drawChart(panels: readonly Panel[]): string {
  const parts: string[] = [];
  let y = MARGIN;
  for (const panel of panels) {
    parts.push(`<text x="${MARGIN}" y="${y + 16}" class="title">${escaped(panel.title)}</text>`);
    y += TITLE_HEIGHT;
    const most = Math.max(...panel.bars.map(({ value }) => value.high));
    for (const bar of panel.bars) {
      parts.push(...drawBar(bar, most, y));
      y += ROW_HEIGHT;
    }
    y += MARGIN;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}">`,
    "<title>Results of the benchmarks</title>",
    "<style>text{font:13px sans-serif;fill:#222}.title{font-weight:bold}.bar{fill:#4a78b5}.spread{stroke:#222}</style>",
    `<rect width="${WIDTH}" height="${y}" fill="#fff"/>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function drawBar({ label, value }: Bar, most: number, y: number): string[] {
  const left = MARGIN + LABEL_WIDTH;
  const at = (figure: number): string => (left + (figure / most) * BAR_SPACE).toFixed(1);
  const width = ((value.median / most) * BAR_SPACE).toFixed(1);
  const middle = y + BAR_HEIGHT / 2;
  const text = y + BAR_HEIGHT - 4;
  return [
    `<text x="${left - 8}" y="${text}" text-anchor="end">${escaped(label)}</text>`,
    `<rect x="${left}" y="${y}" width="${width}" height="${BAR_HEIGHT}" class="bar"/>`,
    `<line x1="${at(value.low)}" x2="${at(value.high)}" y1="${middle}" y2="${middle}" class="spread"/>`,
    `<text x="${left + BAR_SPACE + 10}" y="${text}">${rounded(value.median)}</text>`,
  ];
}

function rounded(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(2);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
