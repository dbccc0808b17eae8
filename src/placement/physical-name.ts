/** Names one incarnation of a client's index: eight lower-case base-32 characters. */
export type IndexInstance = string & { readonly __brand: "IndexInstance" };

const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";
const INSTANCE_LENGTH = 8;
const INSTANCE = /^[a-z2-7]{8}$/;
const PHYSICAL_NAME = /^m([a-z2-7]{8})_(0|[1-9]\d{0,18})$/;

/** An instance name from at least eight random bytes. */
export function newInstance(bytes: Uint8Array): IndexInstance {
  if (bytes.length < INSTANCE_LENGTH)
    throw new RangeError(`an instance needs ${INSTANCE_LENGTH} random bytes`);
  return [...bytes.subarray(0, INSTANCE_LENGTH)].map((byte) => BASE32[byte & 31]).join("") as IndexInstance;
}

/** `text` as an instance name; undefined where it is none. */
export function parseInstance(text: string): IndexInstance | undefined {
  return INSTANCE.test(text) ? (text as IndexInstance) : undefined;
}

/** The generation of a physical index that has been made and is not part of the index yet; those in use begin at 1. */
export const NEW_GENERATION = 0n;

/** The name of an index on the nodes at a generation: `m<instance>_<generation>` (invariant 5). */
export function physicalName(instance: string, generation: bigint | number): string {
  return `m${instance}_${generation}`;
}

/** The instance and generation that a physical name stands for; undefined where Miroir gave no such name. */
export function parsePhysicalName(
  name: string,
): { readonly instance: IndexInstance; readonly generation: bigint } | undefined {
  const match = PHYSICAL_NAME.exec(name);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return { instance: match[1] as IndexInstance, generation: BigInt(match[2]) };
}
