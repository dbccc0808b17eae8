import { CLOSE_BRACE, OPEN_BRACE } from "./bytes.js";
import { asBuffer, findMember, objectMembers } from "./members.js";
import { skipWhitespace, syntaxErrorAt } from "./scan.js";

const COMMA = Buffer.from(",");

/**
 * The object without the members whose decoded key `shouldRemove` names, every other byte untouched
 * (invariant 14). The very same buffer comes back when there is nothing to remove.
 *
 * @throws JsonSyntaxError where `object` is not an object
 */
export function removeMembers(object: Buffer, shouldRemove: (key: string) => boolean): Buffer {
  const members = objectMembers(object);
  let removed = 0;
  const parts: Buffer[] = [];
  let runStart = -1;
  let runEnd = -1;
  let last = 0;
  for (const member of members) {
    last = member.valueEnd;
    if (shouldRemove(member.key)) {
      removed++;
      if (runStart !== -1) parts.push(object.subarray(runStart, runEnd));
      runStart = -1;
      continue;
    }
    if (runStart === -1) {
      if (parts.length > 0) parts.push(COMMA);
      runStart = member.memberStart;
    }
    runEnd = member.valueEnd;
  }
  if (removed === 0) return object;
  if (runStart !== -1) parts.push(object.subarray(runStart, runEnd));
  const open = skipWhitespace(object, 0) + 1;
  return Buffer.concat([object.subarray(0, open), ...parts, object.subarray(last)]);
}

/**
 * The object with another value for a member that it has, every other byte untouched. The very same buffer comes back where it has none.
 *
 * @throws JsonSyntaxError where `object` is not an object
 */
export function replaceMember(object: Buffer, key: string, rawJson: Buffer): Buffer {
  const member = findMember(object, key);
  if (member === undefined) return object;
  return Buffer.concat([object.subarray(0, member.valueStart), rawJson, object.subarray(member.valueEnd)]);
}

/**
 * The object with `members` behind its own, in the given order. Keys are given decoded, values as JSON
 * text, which is copied as it is. The object's own bytes stay as they are.
 *
 * @throws JsonSyntaxError where `object` does not end in `}`
 */
export function appendMembers(
  object: Buffer,
  members: readonly (readonly [key: string, rawJson: string | Buffer])[],
): Buffer {
  if (members.length === 0) return object;
  const close = lastNonWhitespace(object, object.length - 1);
  if (object[close] !== CLOSE_BRACE) {
    throw syntaxErrorAt(object, object.length, "EOF while parsing an object");
  }
  const body = lastNonWhitespace(object, close - 1);
  let separator = object[body] === OPEN_BRACE ? "" : ",";
  const parts: Buffer[] = [object.subarray(0, body + 1)];
  let text = "";
  for (const [key, rawJson] of members) {
    text += `${separator}${JSON.stringify(key)}:`;
    separator = ",";
    if (typeof rawJson === "string") {
      text += rawJson;
    } else {
      parts.push(Buffer.from(text), asBuffer(rawJson));
      text = "";
    }
  }
  if (text !== "") parts.push(Buffer.from(text));
  parts.push(object.subarray(body + 1));
  return Buffer.concat(parts);
}

function lastNonWhitespace(bytes: Uint8Array, from: number): number {
  let i = from;
  while (i >= 0) {
    const byte = bytes[i];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return i;
    i--;
  }
  return i;
}

/**
 * The object with that value for `key`: in place of the present one, or behind all members where there is none. Every other byte
 * stays as it is.
 *
 * @throws JsonSyntaxError where `object` is not an object
 */
export function setMember(object: Buffer, key: string, rawJson: string | Buffer): Buffer {
  const member = findMember(object, key);
  if (member === undefined) return appendMembers(object, [[key, rawJson]]);
  return Buffer.concat([
    object.subarray(0, member.valueStart),
    typeof rawJson === "string" ? Buffer.from(rawJson) : rawJson,
    object.subarray(member.valueEnd),
  ]);
}
