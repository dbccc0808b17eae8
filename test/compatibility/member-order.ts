import { arrayElements, objectMembers } from "../../src/json/members.js";

/**
 * A JSON text with the members of all objects inside of it in one order; those of the outermost one stay in theirs. A node prints
 * the fields of documents in the order in which it met them, which depends on how its threads took turns.
 */
export function withMembersInOrder(text: string): string {
  if (!text.startsWith("{")) return text;
  const bytes = Buffer.from(text);
  const members = objectMembers(bytes).map(
    ({ key, valueStart, valueEnd }) => `${JSON.stringify(key)}:${ordered(bytes, valueStart, valueEnd)}`,
  );
  return `{${members.join()}}`;
}

/** The value from `start` to `end`; scalars stay as they are written. */
function ordered(bytes: Buffer, start: number, end: number): string {
  switch (bytes[start]) {
    case 0x7b: {
      const members = objectMembers(bytes, start).sort((a, b) => (a.key < b.key ? -1 : 1));
      return `{${members.map((member) => `${JSON.stringify(member.key)}:${ordered(bytes, member.valueStart, member.valueEnd)}`).join()}}`;
    }
    case 0x5b:
      return `[${arrayElements(bytes, start)
        .map((element) => ordered(bytes, element.start, element.end))
        .join()}]`;
    default:
      return bytes.toString("utf8", start, end);
  }
}
