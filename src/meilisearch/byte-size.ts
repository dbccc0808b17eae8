const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** A number of bytes as Meilisearch prints it for people: `12 KiB`, `1.5 MiB`. */
export function printBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1_024 && unit < UNITS.length - 1) {
    value /= 1_024;
    unit++;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(2)} ${UNITS[unit]}`;
}

/** The number of bytes that such a text stands for, to its two digits; undefined for another text. */
export function parseBytes(text: string): number | undefined {
  const [, number, name = ""] = /^(\d+(?:\.\d+)?) (\w+)$/.exec(text) ?? [];
  const unit = UNITS.indexOf(name);
  return number === undefined || unit === -1 ? undefined : Math.round(Number(number) * 1_024 ** unit);
}
