/** A text has a line that is longer than anything that writes such texts makes it. */
export class LineTooLongError extends Error {
  override readonly name = "LineTooLongError";
}

const LINE_END = 0x0a;

/**
 * The lines of a text as bytes, each with its line end; the last one may lack it. No more than one line and one chunk are held.
 *
 * @param maxBytes of one line
 * @throws LineTooLongError
 */
export async function* linesOf(chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let rest: Buffer[] = [];
  let restLength = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(LINE_END); at >= 0; at = chunk.indexOf(LINE_END, from)) {
      const end = chunk.subarray(from, at + 1);
      yield restLength === 0 ? end : Buffer.concat([...rest, end]);
      rest = [];
      restLength = 0;
      from = at + 1;
    }
    if (from === chunk.length) continue;
    rest.push(chunk.subarray(from));
    restLength += chunk.length - from;
    if (restLength > maxBytes) throw new LineTooLongError(`it has a line of more than ${maxBytes} bytes`);
  }
  if (restLength > 0) yield Buffer.concat(rest);
}
