/** A table that is not there yet: every call throws. */
export function unbuilt<T extends object>(name: string): T {
  return new Proxy({} as T, {
    get() {
      throw new Error(`${name} is not built`);
    },
  });
}
