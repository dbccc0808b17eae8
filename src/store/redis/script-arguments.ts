/** A list of values as scripts take it: how many, -1 where any will do, and the values. */
export function listArguments(values: readonly (string | number)[] | undefined): (string | number)[] {
  return values === undefined ? [-1] : [values.length, ...values];
}
