import { arrayElements, findMember, objectMembers } from "../json/members.js";
import { isDisplayed } from "./attribute-view.js";
import { isInjectedField } from "./injected-fields.js";
import { compareUtf8 } from "./text-order.js";

/** Which fields of an index to list. */
export type FieldsPage = {
  readonly offset: number;
  readonly limit: number;
  /** Lists displayed or hidden fields alone; null for both. Nodes cannot tell: to them all are displayed. */
  readonly displayed: boolean | null;
};

/**
 * The page of an index's fields that one node with all documents would list: every field that some part knows, once,
 * by name. Rests on parts with the same settings, which therefore say the same of a field.
 *
 * @param bodies each part's list of all its fields
 * @param displayed the index's `displayedAttributes`; null for all
 */
export function mergeFields(
  bodies: readonly Buffer[],
  { offset, limit, displayed: wanted }: FieldsPage,
  displayed: readonly string[] | null,
): Buffer {
  const fields = new Map<string, Buffer>();
  for (const body of bodies) {
    for (const field of fieldsIn(body)) {
      const name = nameOf(field);
      if (!isInjectedField(name) && !fields.has(name)) fields.set(name, field);
    }
  }
  const listed = [...fields]
    .map(([name, field]) => ({ name, field, isShown: isDisplayed(name, displayed) }))
    .filter(({ isShown }) => wanted === null || wanted === isShown)
    .sort((a, b) => compareUtf8(a.name, b.name));
  const page = listed.slice(offset, offset + limit).map(({ field, isShown }) => withDisplay(field, isShown));
  return Buffer.from(
    `{"results":[${page.join(",")}],"offset":${offset},"limit":${limit},"total":${listed.length}}`,
  );
}

function fieldsIn(body: Buffer): Buffer[] {
  const results = findMember(body, "results");
  if (results === undefined) return [];
  return arrayElements(body, results.valueStart).map(({ start, end }) => body.subarray(start, end));
}

function nameOf(field: Buffer): string {
  const name = findMember(field, "name");
  return name === undefined ? "" : String(JSON.parse(field.toString("utf8", name.valueStart, name.valueEnd)));
}

/** The field as a node says that it is displayed or not, all else as it stands. */
function withDisplay(field: Buffer, isShown: boolean): string {
  const members = objectMembers(field).map(({ key, keyStart, valueStart, valueEnd }) =>
    key === "displayed"
      ? `${field.toString("utf8", keyStart, valueStart)}{"enabled":${isShown}}`
      : field.toString("utf8", keyStart, valueEnd),
  );
  return `{${members.join(",")}}`;
}
