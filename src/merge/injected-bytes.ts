import { BACKSLASH, QUOTE } from "../json/bytes.js";
import { SEQUENCE_FIELD, SHARD_FIELD, sequenceCode, shardCode } from "../placement/injected-fields.js";

/** Stands for any symbol of a code. */
const ANY_SYMBOL = 0;

function anySymbols(code: string): string {
  return code.replace(/./g, String.fromCharCode(ANY_SYMBOL));
}

const SHARD_MEMBER = `,"${SHARD_FIELD}":"${anySymbols(shardCode(0))}"`;
const SEQUENCE_MEMBER = `,"${SEQUENCE_FIELD}":"${anySymbols(sequenceCode(0))}"`;
const INJECTED = Buffer.from(SHARD_MEMBER + SEQUENCE_MEMBER);

/** Begins the names of both. Inside of a string its quote would have a backslash in front. */
export const INJECTED_NAME = Buffer.from('"_miroir_s');

/** How many bytes both injected fields take where they end a document, the commas in front of them included. */
export const INJECTED_BYTES = INJECTED.length;

/** How many of {@link INJECTED_BYTES} are the first field's, its comma included. */
export const SHARD_MEMBER_BYTES = SHARD_MEMBER.length;

/** Nodes print only control characters so, none of which is in a name that is looked for; whatever else is printed so might hide one. */
export const CODED_CHARACTER = Buffer.from("\\u");

/** Whether the injected fields are written at `at`, from the comma in front of the first one, as Miroir writes them at the end of a document. */
export function isInjected(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < INJECTED.length; i++) {
    const byte = bytes[at + i];
    if (INJECTED[i] === ANY_SYMBOL ? byte === QUOTE || byte === BACKSLASH : byte !== INJECTED[i])
      return false;
  }
  return true;
}

/** Whether `text` stands at `at`. */
export function startsAt(bytes: Uint8Array, at: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text[i]) return false;
  return true;
}
