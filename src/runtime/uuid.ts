import type { Random, World } from "./world.js";

/** A random UUID, version 4. */
export function randomUuid(random: Pick<Random, "bytes">): string {
  return uuidOf(Buffer.from(random.bytes(16)), 4);
}

/** A new UUID of version 7: the time in milliseconds, then random bits. */
export function timeOrderedUuid({ clock, random }: Pick<World, "clock" | "random">): string {
  const bytes = Buffer.concat([Buffer.alloc(6), random.bytes(10)]);
  bytes.writeUIntBE(Math.floor(clock.now()), 0, 6);
  return uuidOf(bytes, 7);
}

/** Marks 16 bytes with a version and RFC 9562's variant, and prints them. */
function uuidOf(bytes: Buffer, version: number): string {
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | (version << 4), 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
