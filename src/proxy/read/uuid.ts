import type { World } from "../../runtime/world.js";

/** A new UUID of version 7: the time in milliseconds, then random bits. */
export function newUuid({ clock, random }: Pick<World, "clock" | "random">): string {
  const bytes = Buffer.concat([Buffer.alloc(6), random.bytes(10)]);
  bytes.writeUIntBE(Math.floor(clock.now()), 0, 6);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
