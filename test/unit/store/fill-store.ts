import {
  adminSessionId,
  aliasName,
  canaryId,
  type FencingToken,
  hashApiKey,
  idempotencyKey,
  indexInstance,
  jobId,
  nodeId,
  nodeTaskUid,
  proxySession,
  rateLimitSource,
  rolloverPolicyName,
  scopedKeyUid,
  sessionId,
  sinkName,
  type TaskRow,
  type TaskStore,
  taskUid,
  workflowId,
} from "../../../src/store/task-store.js";
import { nodeTask, task } from "./harness.js";

/** How many rows of each kind to write. */
export interface StoreLoad {
  readonly tasks: number;
  readonly sessions: number;
  readonly idempotencyKeys: number;
  readonly jobs: number;
  readonly aliases: number;
  readonly canaries: number;
  readonly runsPerCanary: number;
  readonly tenants: number;
  readonly policies: number;
  readonly adminSessions: number;
  readonly rateLimitKeys: number;
  readonly observedKeys: number;
}

/** The load whose memory docs/reference/redis-memory.md accounts for. */
export const referenceLoad: StoreLoad = {
  tasks: 1_000,
  sessions: 100,
  idempotencyKeys: 500,
  jobs: 100,
  aliases: 50,
  canaries: 10,
  runsPerCanary: 1_000,
  tenants: 100,
  policies: 20,
  adminSessions: 50,
  rateLimitKeys: 1_000,
  observedKeys: 50,
};

/** A few rows of everything. */
export const smallLoad: StoreLoad = {
  tasks: 40,
  sessions: 5,
  idempotencyKeys: 7,
  jobs: 9,
  aliases: 6,
  canaries: 2,
  runsPerCanary: 11,
  tenants: 5,
  policies: 3,
  adminSessions: 4,
  rateLimitKeys: 5,
  observedKeys: 6,
};

const at = 1_700_000_000_000;
const hour = 3_600_000;

/** One part of the load; they are told apart so that each one's memory can be measured. */
export interface LoadPart {
  readonly name: string;
  readonly rows: number;
  write(): Promise<void>;
}

/** The parts of a load, in an order in which they can be written. Values look like those of a running fleet. */
export function loadParts(store: TaskStore, fence: FencingToken, load: StoreLoad): readonly LoadPart[] {
  const range = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);
  const part = (name: string, count: number, write: (index: number) => Promise<unknown>): LoadPart => ({
    name,
    rows: count,
    write: async () => {
      for (const index of range(count)) await write(index);
    },
  });
  return [
    {
      name: "tasks",
      rows: load.tasks,
      write: async () => {
        const first = await store.tasks.allocateUids(load.tasks, fence);
        await store.tasks.upsert(
          range(load.tasks).map((index) => loadedTask(first + index, index)),
          fence,
        );
      },
    },
    part("sessions", load.sessions, (index) =>
      store.sessions.record(
        {
          id: sessionId(`session-${uuid(index)}`),
          lastWriteTaskUid: taskUid(index),
          lastWriteAt: at,
          pinnedGroup: index % 2,
          minSettingsVersion: 3,
        },
        900_000,
      ),
    ),
    part("idempotency keys", load.idempotencyKeys, (index) =>
      store.idempotency.claim(
        {
          key: idempotencyKey(uuid(index)),
          bodySha256: new Uint8Array(32).fill(index % 256),
          taskUid: taskUid(index),
        },
        24 * hour,
      ),
    ),
    part("jobs", load.jobs, (index) =>
      store.jobs.enqueue(
        {
          id: jobId(`job-${uuid(index)}`),
          type: "dump_import",
          paramsJson: JSON.stringify({ index: `index-${index}`, chunk: index, from: index * 1_000 }),
        },
        fence,
      ),
    ),
    part("aliases", load.aliases, (index) =>
      store.aliases.set(
        {
          name: aliasName(`alias-${index}`),
          target:
            index % 5 === 0
              ? { kind: "multi", indexUids: [`logs-${index}`, `logs-${index + 1}`] }
              : { kind: "single", indexUid: `products-v${index}` },
          expectedVersion: 0,
          at,
        },
        fence,
      ),
    ),
    part("canaries", load.canaries, (index) =>
      store.canaries.put(
        {
          id: canaryId(`canary-${index}`),
          name: `Canary ${index}`,
          indexUid: "products",
          intervalSeconds: 60,
          queryJson: '{"q":"shoes","limit":5}',
          assertionsJson: '[{"type":"top_hit_id","value":"42"},{"type":"min_hits","value":3}]',
          enabled: true,
          createdAt: at,
          updatedAt: at,
        },
        fence,
      ),
    ),
    {
      name: "canary runs",
      rows: load.canaries * load.runsPerCanary,
      write: async () => {
        for (const canary of range(load.canaries)) {
          for (const run of range(load.runsPerCanary)) {
            await store.canaryRuns.record(
              {
                canaryId: canaryId(`canary-${canary}`),
                ranAt: at + run * 60_000,
                status: run % 50 === 0 ? "fail" : "pass",
                latencyMs: 12 + (run % 30),
                failedAssertionsJson: run % 50 === 0 ? '[{"type":"min_hits","value":3,"got":2}]' : null,
              },
              fence,
            );
          }
        }
      },
    },
    part("tenants", load.tenants, (index) =>
      store.tenants.put(
        [{ apiKeyHash: hashApiKey(`key ${index}`), tenantId: `tenant-${index}`, groupId: index % 3 || null }],
        fence,
      ),
    ),
    part("rollover policies", load.policies, (index) =>
      store.rolloverPolicies.put(
        {
          name: rolloverPolicyName(`policy-${index}`),
          writeAlias: `logs-${index}-write`,
          readAlias: `logs-${index}`,
          pattern: "logs-{YYYY-MM-DD}",
          triggersJson: '{"max_docs":10000000,"max_age":"7d","max_size_gb":50}',
          retentionJson: '{"keep_indexes":30}',
          templateJson: '{"primary_key":"id","settings_ref":"logs-template"}',
          enabled: true,
          updatedAt: at,
        },
        fence,
      ),
    ),
    part("admin sessions", load.adminSessions, (index) =>
      store.adminSessions.create(
        {
          id: adminSessionId(uuid(index)),
          csrfToken: uuid(index + 1_000),
          adminKeyHash: hashApiKey("admin key"),
          userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
          sourceIp: `10.0.0.${index}`,
        },
        8 * hour,
      ),
    ),
    part("rate limit keys", load.rateLimitKeys, (index) =>
      store.rateLimits.countSearchUi(rateLimitSource(`10.1.${index >> 8}.${index & 255}`), {
        limit: 60,
        windowMs: 60_000,
      }),
    ),
    {
      name: "observed keys",
      rows: load.observedKeys,
      write: async () => {
        await store.scopedKeys.publish(
          { indexUid: "products", uid: scopedKeyUid(uuid(1)), expectedGeneration: 0, at },
          fence,
        );
        for (const index of range(load.observedKeys)) {
          await store.scopedKeys.observe({
            indexUid: "products",
            proxy: proxySession(`proxy-${index}-${uuid(index)}`),
            generation: 1,
          });
        }
      },
    },
  ];
}

/** Writes a load. */
export async function fillStore(store: TaskStore, fence: FencingToken, load: StoreLoad): Promise<void> {
  for (const part of loadParts(store, fence, load)) await part.write();
}

/** Writes what a load leaves out: the rows of a fleet of three nodes, and odd states of jobs and sessions. */
export async function fillFleet(store: TaskStore, fence: FencingToken): Promise<void> {
  const document = new Uint8Array(2_000).map((_, index) => index % 256);
  await store.topology.save(
    undefined,
    { clusterId: "c1", term: fence.term, counter: 1, contentHash: "h", document },
    fence,
  );
  const nodes = ["node-0", "node-1", "node-2"].map(nodeId);
  await store.nodeCursors.put(
    nodes.map((id, index) => ({
      nodeId: id,
      frontierUid: index === 0 ? null : nodeTaskUid(2 ** 32 - index),
      lastSeenUid: index === 0 ? null : nodeTaskUid(2 ** 32 - 1),
      identity: `identity ${index}`,
      updatedAt: at,
    })),
    fence,
  );
  await store.nodeSettingsVersions.put(
    nodes.map((id) => ({
      instance: indexInstance("abcd2345"),
      nodeId: id,
      version: Number.MAX_SAFE_INTEGER,
      fingerprint: "f".repeat(64),
      updatedAt: at,
    })),
    fence,
  );
  for (const finishedAt of [null, at + 5]) {
    await store.workflows.put(
      {
        id: workflowId(`workflow ${finishedAt}`),
        kind: "drain",
        step: "copy",
        stateJson: '{"node":"node-0","n":1.10}',
        createdAt: at,
        updatedAt: at + 5,
        finishedAt,
      },
      fence,
    );
  }
  const claimed = await store.jobs.claim({ holder: "worker 1" });
  if (claimed !== undefined) {
    const token = { id: claimed.id, holder: "worker 1", attempt: claimed.attempts };
    await store.jobs.heartbeat(token, { progressJson: '{"rows":12}' });
  }
  const second = await store.jobs.claim({ holder: "worker 2" });
  if (second !== undefined) {
    const token = { id: second.id, holder: "worker 2", attempt: second.attempts };
    await store.jobs.fail(token, { error: "no disk", retry: true });
  }
  const third = await store.jobs.claim({ holder: "worker 3" });
  if (third !== undefined) {
    await store.jobs.complete({ id: third.id, holder: "worker 3", attempt: third.attempts }, '{"done":true}');
  }
  await store.aliases.set(
    {
      name: aliasName("alias-1"),
      target: { kind: "single", indexUid: "products-v2" },
      expectedVersion: 1,
      at: at + 1,
    },
    fence,
  );
  await store.searchUiConfig.put(
    { indexUid: "products: é", configJson: '{"title":"Prod\\u00e9"}', updatedAt: at },
    fence,
  );
  await store.scopedKeys.publish(
    { indexUid: "products", uid: scopedKeyUid("second"), expectedGeneration: 1, at },
    fence,
  );
  await store.cdcCursors.advance(
    [{ sink: sinkName("kafka"), indexUid: "products", lastEventSeq: 2 ** 53 - 1, updatedAt: at }],
    fence,
  );
  await store.cdcOverflow.append(sinkName("kafka"), [document, new Uint8Array(0), document], fence);
  await store.cdcOverflow.acknowledge(
    sinkName("kafka"),
    (await store.cdcOverflow.peek(sinkName("kafka"), 1))[0]?.position ?? 0,
    fence,
  );
  const [session] = await store.adminSessions.list(1);
  if (session !== undefined) await store.adminSessions.revoke(session.id);
}

function loadedTask(uid: number, index: number): TaskRow {
  const times = { startedAt: at + index + 20, finishedAt: at + index + 700 };
  return task(uid, {
    indexUid: `index-${index % 20}`,
    instance: indexInstance("abcd2345"),
    status: "succeeded",
    detailsJson: '{"receivedDocuments":100,"indexedDocuments":100}',
    enqueuedAt: at + index,
    ...times,
    documentsByShard: new Map([
      [index % 64, 50],
      [(index + 7) % 64, 50],
    ]),
    nodeTasks: ["node-0", "node-1", "node-2"].map((node) =>
      nodeTask(node, index, {
        status: "succeeded",
        detailsJson: '{"receivedDocuments":34,"indexedDocuments":34}',
        shards: [index % 64],
        ...times,
      }),
    ),
  });
}

/** Looks like a UUID, and is the same in every run. */
function uuid(seed: number): string {
  const hex = (seed * 2_654_435_761 + 97).toString(16).padStart(32, "5c3a9e71d2b84f06").slice(-32);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
