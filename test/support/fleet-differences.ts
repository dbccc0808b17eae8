import type { MiroirClient } from "../../src/client/index.js";

/** How many differences a verification of whole documents finds. */
export async function fleetDifferences(client: MiroirClient): Promise<number> {
  for await (const { event } of client.verify.verify({ deep: true })) {
    if (event.case === "summary") return Number(event.value.differences);
  }
  throw new Error("the verification broke off");
}
