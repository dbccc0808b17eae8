import { apiKeySecret } from "../../src/proxy/auth/api-key.js";
import { DEFAULT_MASTER_KEY } from "../support/nodes.js";
import type { Script, Step } from "./side-by-side.js";

/** Keys that both sides get under the same uid, and so with the same secret. */
const KEYS = [
  { name: "dumps", actions: ["dumps.create"] },
  { name: "snapshots", actions: ["snapshots.create", "tasks.get"] },
  { name: "all dumps", actions: ["dumps.*"] },
  { name: "neither", actions: ["tasks.*", "indexes.*", "settings.*"] },
  { name: "all", actions: ["*"] },
] as const;

function uidOf(at: number): string {
  return `cccccccc-0000-4000-8000-00000000000${at}`;
}

function as(at: number): { readonly authorization: string } {
  return { authorization: `Bearer ${apiKeySecret(uidOf(at), DEFAULT_MASTER_KEY)}` };
}

const keys: Step[] = KEYS.map((key, at) => [
  "POST",
  "/keys",
  { uid: uidOf(at), description: null, ...key, indexes: ["*"], expiresAt: null },
]);

const created: Script = {
  name: "dumps and snapshots, and their tasks",
  alone: true,
  steps: [
    ["POST", "/indexes/bk/documents?primaryKey=id", [{ id: 1 }, { id: 2 }]],
    ["POST", "/dumps"],
    ["POST", "/snapshots"],
    ["POST", "/dumps", { ignored: true }],
    ["POST", "/dumps", "no json", { contentType: "text/plain" }],
    ["POST", "/snapshots?customMetadata=mine&wrong=1"],
    ["POST", "/dumps/"],
    ["GET", "/tasks/{task:1}"],
    ["GET", "/tasks/{task:2}"],
    ["GET", "/batches/{task:2}"],
    ["GET", "/tasks?types=dumpCreation"],
    ["GET", "/tasks?types=snapshotCreation"],
    ["GET", "/tasks?types=dumpCreation,snapshotCreation&statuses=succeeded&limit=2"],
    ["GET", "/tasks?types=snapshotCreation&indexUids=bk"],
    ["GET", "/tasks?types=dumpcreation"],
    ["POST", "/tasks/cancel?types=dumpCreation"],
    ["DELETE", "/tasks?types=dumpCreation,snapshotCreation"],
    ["GET", "/tasks?types=dumpCreation"],
  ],
};

const refused: Script = {
  name: "who may back up, and how",
  alone: true,
  steps: [
    ...keys,
    ...["/dumps", "/snapshots"].flatMap((path): Step[] => [
      ...KEYS.map((_, at): Step => ["POST", path, undefined, as(at)]),
      ["POST", path, undefined, { authorization: null }],
      ["POST", path, undefined, { authorization: "Bearer wrong" }],
      ["POST", path, undefined, { authorization: "Basic wrong" }],
      ["GET", path],
      ["PUT", path, {}],
      ["DELETE", path],
      ["POST", `${path}/1`],
    ]),
    ["POST", "/keys", { actions: ["dumps.create"], indexes: ["bk"], expiresAt: null }],
    ["POST", "/keys", { actions: ["snapshots.*"], indexes: ["bk*"], expiresAt: null }],
  ],
};

/** Requests for backups of the whole server. */
export const backupScripts: readonly Script[] = [created, refused];
