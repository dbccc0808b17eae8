import type { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { benchForwarding } from "./forwarding.js";
import { format } from "./output.js";

/** `bench forwarding`. */
export function addForwardingCommand(program: Command): void {
  program
    .command("forwarding")
    .description("small writes: through the proxy that writes their index, and through another one")
    .option("--json", "print one JSON document")
    .action(async ({ json }: { readonly json?: boolean }) => {
      const rows = await benchForwarding();
      if (json === true) {
        console.log(JSON.stringify({ kind: "forwarding", rows }, null, 2));
        return;
      }
      const lines = rows.map(({ asked, p50Ms, p90Ms }) => [asked, format(p50Ms), format(p90Ms)]);
      console.log(table(["ASKED", "P50 MS", "P90 MS"], lines));
    });
}
