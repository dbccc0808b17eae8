import { type DescMessage, type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf";

/** Prints a command's result: a table or text for people, one JSON document for programs. */
export interface Output {
  /** True where `--json` was given. */
  readonly json: boolean;
  /** Writes to standard output, with a line end. */
  line(text?: string): void;
  /** Writes `value` as JSON where `--json` was given, else calls `forPeople`. */
  result(value: JsonValue, forPeople: () => void): void;
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
      if (json) line(JSON.stringify(value, undefined, 2));
      else forPeople();
    },
  };
}

/**
 * A message in protobuf's JSON: 64-bit integers are strings. Zeros, empty strings and empty lists are there too, so that a
 * program need not know which members exist.
 */
export function messageJson<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): JsonValue {
  return toJson(schema, message, { alwaysEmitImplicit: true });
}

/** An error message of several lines would break the table that it stands in. */
function oneLine(value: string | number | bigint): string {
  return String(value).replace(/\s+/g, " ");
}

/** Lays rows out in columns under a heading; numbers are aligned to the right. */
export function table(
  heading: readonly string[],
  rows: readonly (readonly (string | number | bigint)[])[],
): string {
  const cells = [heading, ...rows.map((row) => row.map(oneLine))];
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
