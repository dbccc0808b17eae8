import type { Writer } from "../../gen/miroir/v1/topology_pb.js";
import type { Faults } from "./validation.js";

/** Characters of a name. */
export const MAX_NAME = 512;

/** What cannot name anything. */
export function checkName(name: string, path: string, faults: Faults): void {
  faults.check(name.length >= 1 && name.length <= MAX_NAME, path, `must have 1 to ${MAX_NAME} characters`);
}

/** A writer without a name, where one is given. */
export function checkWriter(writer: Writer | undefined, faults: Faults): void {
  if (writer === undefined) return;
  checkName(writer.proxyId, "writer.proxy_id", faults);
  checkName(writer.session, "writer.session", faults);
}
