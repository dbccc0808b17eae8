import { BACKSLASH, CLOSE_BRACKET, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from "./bytes.js";
import { describeJson } from "./describe.js";
import { type JsonMember, objectMembers } from "./members.js";
import { ObjectScanner } from "./object-scanner.js";
import { JsonSyntaxError, skipWhitespace, syntaxErrorAt, type TextPosition } from "./scan.js";
import { type Reading, validateValue } from "./validate.js";

/** How a body lists its documents: one array or one object, or values one behind another. */
export type DocumentFormat = "json" | "ndjson";

/** A document as a body holds it. */
export type SplitDocument = {
  /** The object, from its opening to its closing brace. */
  readonly bytes: Buffer;
  /** Its own members, as `objectMembers` gives them. */
  readonly members: readonly JsonMember[];
};

/** Cuts a body into documents as it arrives; see `createDocumentSplitter`. */
export type DocumentSplitter = {
  /**
   * Takes the next bytes of the body and gives the documents that they complete, as views of `chunk`
   * where they lie in it whole. The chunk must not be changed afterwards.
   */
  push(chunk: Buffer): SplitDocument[];
  /** Tells that the body is complete. No document can come with its end: each ends in its own brace. */
  end(): void;
};

/** A value that is JSON but no object, where a document was expected. */
export class DocumentNotObjectError extends Error {
  override readonly name = "DocumentNotObjectError";

  /**
   * @param place `body` where the whole body is that value, `element` for an element of an array or of NDJSON
   * @param found the value in serde's words, such as "integer `1`"
   * @param index how many documents came before it
   */
  constructor(
    readonly place: "body" | "element",
    readonly found: string,
    readonly index: number,
    column: number,
  ) {
    super(`invalid type: ${found}, expected a map at line 1 column ${column}`);
  }
}

/** A document that grew beyond the splitter's limit. */
export class DocumentTooLargeError extends Error {
  override readonly name = "DocumentTooLargeError";

  /**
   * @param maxDocumentBytes the limit it met
   * @param index how many documents came before it
   */
  constructor(
    readonly maxDocumentBytes: number,
    readonly index: number,
  ) {
    super(
      `document ${index} is larger than ${maxDocumentBytes} bytes; send smaller documents or raise the limit`,
    );
  }
}

const LINE_FEED = 0x0a;

/** The bytes that may follow a bare scalar in a stream of values. */
const AFTER_SCALAR = new Set(Buffer.from(' \n\t\r"[]{},:'));

/** What the next byte that is not white space must be. */
type Expectation =
  /** The first value of the body. */
  | "body"
  /** The first element of the array, or its end. */
  | "first-element"
  /** An element, behind a comma. */
  | "element"
  /** A comma, or the end of the array. */
  | "delimiter"
  /** A further value, or the end of an NDJSON body. */
  | "value"
  /** Nothing: the body's one object is complete. */
  | "nothing"
  /** The end of the array, behind an element that is no object: anything else is the error that Meilisearch gives. */
  | "misfit-end"
  /** Nothing good: a comma came behind an element that is no object. */
  | "misfit-rest"
  /** Anything: Meilisearch does not look behind the end of an array. */
  | "anything";

/** Where an object is a document. */
const MAY_BEGIN_DOCUMENT: ReadonlySet<Expectation> = new Set(["body", "first-element", "element", "value"]);

/** The value being read. */
type Open = {
  kind: "container" | "string" | "scalar";
  /** Containers open at this place. */
  depth: number;
  inString: boolean;
  /** The last byte was a backslash that escapes the next one. */
  escaped: boolean;
  reading: Reading;
  place: "body" | "element";
  /** Offset in the chunk at hand; 0 once earlier chunks hold its beginning. */
  start: number;
  /** Where it begins in the body, once it is known to span chunks. */
  position: TextPosition | undefined;
};

/**
 * Cuts the body of a document addition into its documents while it arrives, wherever the chunks are cut.
 * Every document is checked as `validateJson` does, and comes out byte for byte (invariant 14). No more
 * is held than the document being read (invariant 12).
 *
 * What is accepted, and the wording and position of errors in the whole body, follow Meilisearch: `json`
 * is an array of objects, behind which anything may stand, or one object; `ndjson` is objects one behind
 * another with any white space or none between them. After an error the splitter must not be used again.
 *
 * Both methods throw `JsonSyntaxError`, `DocumentNotObjectError` and `DocumentTooLargeError`; documents
 * completed by the same call before the error are lost with it, as the whole body is refused.
 */
export function createDocumentSplitter(options: {
  format: DocumentFormat;
  /** Size in bytes beyond which a document is refused. */
  maxDocumentBytes: number;
}): DocumentSplitter {
  return new Splitter(options.format, options.maxDocumentBytes);
}

class Splitter implements DocumentSplitter {
  private expectation: Expectation;
  private open: Open | undefined;
  /** The bytes of the open value from earlier chunks. */
  private held: Buffer[] = [];
  private heldBytes = 0;
  private index = 0;
  /** The first element that is no object, reported once the byte behind it is known. */
  private misfit: DocumentNotObjectError | undefined;
  /** Where the chunk at hand begins in the body. */
  private chunkPosition: TextPosition = { offset: 0, line: 1, column: 0 };

  constructor(
    private readonly format: DocumentFormat,
    private readonly maxDocumentBytes: number,
  ) {
    this.expectation = format === "json" ? "body" : "value";
  }

  push(chunk: Buffer): SplitDocument[] {
    const documents: SplitDocument[] = [];
    const scanner = new ObjectScanner(chunk);
    let at = 0;
    while (this.expectation !== "anything") {
      if (this.open === undefined) {
        at = skipWhitespace(chunk, at);
        if (at >= chunk.length) break;
        const scanned = this.scanWhole(scanner, chunk, at);
        if (scanned === undefined) at = this.begin(chunk, at);
        else {
          documents.push(scanned);
          at += scanned.bytes.length;
        }
        continue;
      }
      const end = openValueEnd(this.open, chunk, at);
      if (end === -1) {
        this.hold(chunk, this.open);
        break;
      }
      this.checkSize(this.open, this.heldBytes + end - this.open.start, chunk.subarray(this.open.start, end));
      const document = this.complete(this.open, chunk, end);
      if (document !== undefined) documents.push({ bytes: document, members: objectMembers(document) });
      at = end;
    }
    this.chunkPosition = positionBehind(chunk, chunk.length, this.chunkPosition);
    return documents;
  }

  end(): void {
    const { open } = this;
    // A value that is still open is broken, or a scalar: either way there is no document in it.
    if (open !== undefined) this.complete(open, Buffer.alloc(0), 0);
    switch (this.expectation) {
      case "body":
      case "element":
        throw this.endedEarly("EOF while parsing a value");
      case "first-element":
      case "delimiter":
      case "misfit-end":
        throw this.endedEarly("EOF while parsing a list");
      case "misfit-rest":
        throw this.endedEarly("trailing characters");
      default:
    }
  }

  /** The document that begins at `at`, where one may begin and it lies in the chunk whole; else left to the careful way. */
  private scanWhole(scanner: ObjectScanner, chunk: Buffer, at: number): SplitDocument | undefined {
    if (chunk[at] !== OPEN_BRACE || !MAY_BEGIN_DOCUMENT.has(this.expectation)) return undefined;
    const scanned = scanner.scan(at);
    if (scanned === undefined || scanned.end - at > this.maxDocumentBytes) return undefined;
    this.documentComplete(this.expectation === "body" ? "body" : "element");
    return { bytes: chunk.subarray(at, scanned.end), members: scanned.members };
  }

  private documentComplete(place: "body" | "element"): void {
    this.index++;
    if (this.format === "json") this.expectation = place === "body" ? "nothing" : "delimiter";
  }

  /** Takes the byte at `at`, which is no white space and belongs to no value yet; gives where to go on. */
  private begin(chunk: Buffer, at: number): number {
    const byte = chunk[at];
    switch (this.expectation) {
      case "body":
        if (byte === OPEN_BRACKET) {
          this.expectation = "first-element";
          return at + 1;
        }
        return this.openValue(byte, at, "value", "body");
      case "first-element":
        if (byte === CLOSE_BRACKET) {
          this.expectation = "anything";
          return at + 1;
        }
        return this.openValue(byte, at, "raw", "element");
      case "element":
        if (byte === CLOSE_BRACKET) throw this.syntaxError(chunk, at, "trailing comma");
        return this.openValue(byte, at, "raw", "element");
      case "delimiter":
        if (byte !== COMMA && byte !== CLOSE_BRACKET) {
          throw this.syntaxError(chunk, at, "expected `,` or `]`");
        }
        this.expectation = byte === COMMA ? "element" : "anything";
        return at + 1;
      case "misfit-end":
        if (byte === CLOSE_BRACKET && this.misfit !== undefined) throw this.misfit;
        if (byte !== COMMA) throw this.syntaxError(chunk, at, "trailing characters");
        this.expectation = "misfit-rest";
        return at + 1;
      case "misfit-rest":
        throw this.syntaxError(chunk, at, byte === CLOSE_BRACKET ? "trailing comma" : "trailing characters");
      case "nothing":
        throw this.syntaxError(chunk, at, "trailing characters");
      default:
        return this.openValue(byte, at, "raw", "element");
    }
  }

  private openValue(
    byte: number | undefined,
    at: number,
    reading: Reading,
    place: "body" | "element",
  ): number {
    const container = byte === OPEN_BRACE || byte === OPEN_BRACKET;
    this.open = {
      kind: container ? "container" : byte === QUOTE ? "string" : "scalar",
      depth: 0,
      inString: false,
      escaped: false,
      reading,
      place,
      start: at,
      position: undefined,
    };
    return at;
  }

  /** Keeps the open value's part of the chunk. */
  private hold(chunk: Buffer, open: Open): void {
    const part = chunk.subarray(open.start);
    this.checkSize(open, this.heldBytes + part.length, part);
    open.position ??= positionBehind(chunk, open.start, this.chunkPosition);
    // A copy, so that a small rest does not keep a large chunk alive.
    this.held.push(Buffer.from(part));
    this.heldBytes += part.length;
    open.start = 0;
  }

  private checkSize(open: Open, size: number, part: Buffer): void {
    if (size <= this.maxDocumentBytes) return;
    try {
      // A quote that was never closed looks like a huge document; what is wrong with it says more.
      validateValue(Buffer.concat([...this.held, part]), 0, open.reading);
    } catch (error) {
      if (error instanceof JsonSyntaxError && !error.endedEarly) throw error;
    }
    throw new DocumentTooLargeError(this.maxDocumentBytes, this.index);
  }

  /** Checks the open value, which ends before `end` in the chunk; gives it if it is a document. */
  private complete(open: Open, chunk: Buffer, end: number): Buffer | undefined {
    // A scalar is judged with the byte behind it, as a reader that goes byte by byte does.
    const last = open.kind === "scalar" ? Math.min(end + 1, chunk.length) : end;
    const part = chunk.subarray(open.start, last);
    const value = this.held.length === 0 ? part : Buffer.concat([...this.held, part]);
    try {
      const valueEnd = validateValue(value, 0, open.reading);
      if (value[0] !== OPEN_BRACE) this.refuseMisfit(open, value, valueEnd);
    } catch (error) {
      if (!(error instanceof JsonSyntaxError)) throw error;
      throw error.shifted(open.position ?? positionBehind(chunk, open.start, this.chunkPosition));
    }
    this.open = undefined;
    this.held = [];
    this.heldBytes = 0;
    if (this.misfit !== undefined) {
      this.expectation = "misfit-end";
      return undefined;
    }
    this.documentComplete(open.place);
    return value;
  }

  private refuseMisfit(open: Open, value: Buffer, valueEnd: number): void {
    const next = value[valueEnd];
    if (open.place === "element" && next !== undefined && !AFTER_SCALAR.has(next)) {
      throw syntaxErrorAt(value, valueEnd, "trailing characters");
    }
    const { found, column } = describeJson(value.subarray(0, valueEnd));
    const misfit = new DocumentNotObjectError(open.place, found, this.index, column);
    // In an array Meilisearch looks at what follows before it complains of the element.
    if (this.format === "ndjson" || open.place === "body") throw misfit;
    this.misfit = misfit;
  }

  private syntaxError(chunk: Buffer, at: number, reason: string): JsonSyntaxError {
    return syntaxErrorAt(chunk, at, reason).shifted(this.chunkPosition);
  }

  private endedEarly(reason: string): JsonSyntaxError {
    const { offset, line, column } = this.chunkPosition;
    return new JsonSyntaxError(reason, offset, line, column);
  }
}

/** End (exclusive) of the open value in the chunk, or -1 where the chunk ends before it. */
function openValueEnd(open: Open, chunk: Uint8Array, from: number): number {
  if (open.kind === "scalar") {
    for (let i = from; i < chunk.length; i++) {
      if (AFTER_SCALAR.has(chunk[i] as number)) return i;
    }
    return -1;
  }
  const length = chunk.length;
  let { depth } = open;
  let i = from;
  while (i < length) {
    if (open.inString) {
      i = stringRestEnd(open, chunk, i);
      if (open.inString) break;
      if (depth === 0) return i;
      continue;
    }
    const byte = chunk[i] as number;
    i++;
    const folded = byte | 0x20;
    if (byte === QUOTE) {
      open.inString = true;
    } else if (folded === 0x7d) {
      if (--depth === 0) return i;
    } else if (folded === 0x7b) {
      depth++;
    }
  }
  open.depth = depth;
  return -1;
}

/** Goes on inside a string: behind its closing quote, or at the chunk's end with `inString` still set. */
function stringRestEnd(open: Open, chunk: Uint8Array, from: number): number {
  const length = chunk.length;
  let i = from;
  if (open.escaped) {
    open.escaped = false;
    i++;
  }
  while (i < length) {
    const byte = chunk[i];
    if (byte === QUOTE) {
      open.inString = false;
      return i + 1;
    }
    i += byte === BACKSLASH ? 2 : 1;
  }
  open.escaped = i > length;
  return length;
}

/** The place in the body of `chunk[at]`, for a chunk that begins at `before`. */
function positionBehind(chunk: Uint8Array, at: number, before: TextPosition): TextPosition {
  let { line } = before;
  let lineStart = -before.column;
  for (
    let feed = chunk.indexOf(LINE_FEED);
    feed !== -1 && feed < at;
    feed = chunk.indexOf(LINE_FEED, feed + 1)
  ) {
    line++;
    lineStart = feed + 1;
  }
  return { offset: before.offset + at, line, column: at - lineStart };
}
