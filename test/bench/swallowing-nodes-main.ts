// A program: as many nodes as its first argument says, with the second as their master key, in one process, that count and drop the
// documents they are sent. Prints their URLs as one JSON array.
import { createEmbeddedNode } from "../../src/embedded/node.js";
import { startSwallowingNode } from "./swallowing-node.js";

const [count = "1", masterKey = ""] = process.argv.slice(2);
const urls: string[] = [];
for (let at = 0; at < Number(count); at++) {
  const node = await createEmbeddedNode({ masterKey });
  urls.push(await startSwallowingNode(node.url));
}
process.stdout.write(`${JSON.stringify(urls)}\n`);
// The pipe ends with the process that started this one, however it goes.
process.stdin.on("end", () => process.exit(0)).resume();
