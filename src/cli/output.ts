/** Prints a command's result: a table or text for people, one JSON document for programs. */
export interface Output {
  /** True where `--json` was given. */
  readonly json: boolean;
  /** Writes to standard output, with a line end. */
  line(text?: string): void;
  /** Writes `value` as JSON where `--json` was given, else calls `forPeople`. */
  result(value: unknown, forPeople: () => void): void;
}

/** An {@link Output} over a stream. */
export function createOutput(
  json: boolean,
  stream: { write(text: string): unknown } = process.stdout,
): Output {
  const line = (text = ""): void => {
    stream.write(`${text}\n`);
  };
  return {
    json,
    line,
    result: (value, forPeople) => {
      if (json) line(JSON.stringify(value, bigintAsNumber, 2));
      else forPeople();
    },
  };
}

/** Uids, epochs and counters fit a JSON number; what does not is printed as a string. */
function bigintAsNumber(_key: string, value: unknown): unknown {
  if (typeof value !== "bigint") return value;
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString();
}

/** Lays rows out in columns under a heading; numbers are aligned to the right. */
export function table(
  heading: readonly string[],
  rows: readonly (readonly (string | number | bigint)[])[],
): string {
  const cells = [heading, ...rows.map((row) => row.map(String))];
  const widths = heading.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const right = heading.map(
    (_, column) => rows.length > 0 && rows.every((row) => typeof row[column] !== "string"),
  );
  return cells
    .map((row) =>
      row
        .map((cell, column) =>
          right[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
